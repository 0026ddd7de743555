// A tokenizer as Hugging Face's files, the way back from tokenizer_json.h.
#pragma once

#include <string>

#include "tokenizer/tokenizer.h"

namespace hadal::tokenizer {

// The text of tokenizer.json. Unused tokens at the end, which only fill up a model's vocabulary,
// are left out. Throws Error(unsupported) if the pre-tokenizer is none that Hadal knows; `source`
// is for messages.
std::string tokenizer_json_text(const TokenizerParts& parts, const std::string& source);

// The text of tokenizer_config.json. context: the model's, 0 if unknown.
std::string tokenizer_config_text(const TokenizerParts& parts, const std::string& chat_template,
                                  int64_t context);

}  // namespace hadal::tokenizer
