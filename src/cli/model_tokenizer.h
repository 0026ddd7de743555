// The tokenizer of a model as parts to be written into another kind of file.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "format/convert.h"
#include "format/load.h"

namespace hadal::cli {

struct ModelTokenizer {
  std::optional<format::GgufTokenizer> parts;  // nothing: the model has none
  std::shared_ptr<const void> storage;         // what the parts' views point into
};

// As GGUF keys. Throws Error(format | unsupported) if there is one that Hadal cannot read.
ModelTokenizer gguf_tokenizer_of(const format::LoadedFiles& files);

// As Hugging Face's files: a folder's own, as they are; tokenizer.json and tokenizer_config.json
// made of a GGUF file's keys. Errors as above.
std::vector<format::SideFile> hf_tokenizer_of(const format::LoadedFiles& files);

}  // namespace hadal::cli
