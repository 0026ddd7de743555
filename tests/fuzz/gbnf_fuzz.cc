// GBNF to a grammar, and a walk through it: there is no dead end.
#include "fuzz/grammar_walk.h"
#include "grammar/gbnf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 8192) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    hadal::fuzz::walk(hadal::grammar::parse_gbnf(text), size);
  } catch (const hadal::Error&) {
  }
  return 0;
}
