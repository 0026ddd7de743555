// tidy ROOT: checks the sources under ROOT by the rules of rules.h; prints "path:line: what" for
// each violation and exits with 1 if there is any.
#include <cstdio>
#include <exception>

#include "tidy/rules.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: tidy ROOT\n", stderr);
    return 2;
  }
  try {
    const auto violations = hadal::tidy::check_all(hadal::tidy::load_sources(argv[1]));
    for (const auto& v : violations) {
      std::printf("%s:%zu: %s\n", v.path.c_str(), v.line, v.message.c_str());
    }
    return violations.empty() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tidy: %s\n", error.what());
    return 1;
  }
}
