// A config.json.
#include <string_view>

#include "base/error.h"
#include "format/config_read.h"
#include "format/json_guard.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hadal;
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto config = format::read_hf_config(format::parse_json(text, "config.json"), "config");
    model::count_parameters(config.model);
  } catch (const Error&) {
  }
  return 0;
}
