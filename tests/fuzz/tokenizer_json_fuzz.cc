// Any bytes as tokenizer.json: refused with an Error, or a tokenizer whose decode undoes encode.
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_json.h"

namespace {

using hadal::tokenizer::Tokenizer;

void use(const Tokenizer& tokenizer, std::string_view text) {
  for (const auto& ids : {tokenizer.encode(text), tokenizer.encode_with_special(text)}) {
    for (int32_t id : ids) {
      if (id < 0 || id >= tokenizer.size()) {
        std::abort();
      }
    }
    tokenizer.decode(ids);
  }
  for (int32_t id : tokenizer.encode(text)) {
    if (tokenizer.is_special(id)) {
      std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  // What follows a zero byte is tokenizer_config.json.
  const size_t cut = input.find('\0');
  const std::string_view json = input.substr(0, cut);
  const std::string_view config =
      cut == std::string_view::npos ? std::string_view() : input.substr(cut + 1);
  try {
    const auto file = hadal::tokenizer::parse_tokenizer_json(json, config, "fuzz");
    const Tokenizer tokenizer = Tokenizer::from_parts(file.parts, "fuzz");
    use(tokenizer, "Hello <think> 123 \xFF 深\n");
    use(tokenizer, input.substr(0, 400));
  } catch (const hadal::Error&) {
  }
  return 0;
}
