// Opens a tokenizer by itself, without the model's weights.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "format/load.h"
#include "tokenizer/generation.h"
#include "tokenizer/tokenizer.h"

namespace hadal::infer {

// From a GGUF file's keys. Throws Error(format | unsupported) naming `source`.
tokenizer::Tokenizer tokenizer_from_gguf(const format::GgufTokenizer& keys,
                                         std::string_view source);

// What open_tokenizer reads, with what the files tell about the dialogue form.
struct TokenizerSource {
  tokenizer::Tokenizer tokenizer;
  std::optional<tokenizer::DialogueStyle> style;  // nothing: a base model, or a foreign form
};

// `path`: a tokenizer.json, a folder that has one, or a GGUF file (also one without tensors).
// Throws Error(file | format | unsupported).
TokenizerSource open_tokenizer(const std::string& path);

}  // namespace hadal::infer
