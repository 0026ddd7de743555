// JSON Schema to a grammar, and a walk through it: there is no dead end, and what comes out is
// JSON.
#include <nlohmann/json.hpp>

#include "fuzz/grammar_walk.h"
#include "grammar/json_schema.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 8192) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const auto written = hadal::fuzz::walk(hadal::grammar::json_schema_grammar(text), size);
    if (!written) return 0;
    const std::string json = hadal::fuzz::walk_tokenizer().decode(*written);
    HADAL_CHECK(nlohmann::json::accept(json), "the grammar let through what is no JSON: {}", json);
  } catch (const hadal::Error&) {
  }
  return 0;
}
