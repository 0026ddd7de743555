// Writes the scripted models that client libraries are run against: talks.gguf and calls.gguf.
#include <cstdio>
#include <exception>
#include <string>

#include "e2e/scripted_model.h"

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", arguments[0]);
    return 2;
  }
  const std::string folder = arguments[1];
  try {
    hadal::e2e::ScriptedModel(hadal::e2e::talking_script()).write(folder + "/talks.gguf");
    hadal::e2e::ScriptedModel(hadal::e2e::calling_script()).write(folder + "/calls.gguf");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
