// Hugging Face's tokenizer.json as parts: for Tokenizer::from_json, and for writing them elsewhere.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "tokenizer/tokenizer.h"

namespace hadal::tokenizer {

struct TokenizerFile {
  TokenizerParts parts;       // views into storage
  std::string chat_template;  // tokenizer_config.json's, as text; "" if there is none
  struct Storage;
  std::shared_ptr<const Storage> storage;
};

// Throws Error(file | format | unsupported) naming file and key. `config_path` may be "".
TokenizerFile read_tokenizer_json(const std::string& path, const std::string& config_path);

// The same from memory: what a fuzzer calls. `source` is for messages.
TokenizerFile parse_tokenizer_json(std::string_view json, std::string_view config,
                                   const std::string& source);

}  // namespace hadal::tokenizer
