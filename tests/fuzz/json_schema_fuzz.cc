// JSON Schema to a grammar, and a walk through it: there is no dead end, and what comes out is
// JSON.
#include <nlohmann/json.hpp>

#include "fuzz/grammar_walk.h"
#include "grammar/json_schema.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 8192) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const std::optional<std::string> written =
        hadal::fuzz::walk(hadal::grammar::json_schema_grammar(text), size);
    if (written)
      HADAL_CHECK(nlohmann::json::accept(*written), "the grammar let through what is no JSON: {}",
                  *written);
  } catch (const hadal::Error&) {
  }
  return 0;
}
