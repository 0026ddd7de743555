// GGUF keys -> model::ModelConfig and GgufTokenizer.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "format/gguf_read.h"
#include "format/load.h"
#include "format/tensor_table.h"
#include "model/config.h"

namespace hadal::format {

// The keys that describe the model, of every form in circulation; `table` settles what keys leave
// open (vocabulary, compressed queries, tied head, MTP layers, rope factors). What had to be
// assumed goes to notes. Throws as read_hf_config does; the result has passed model::validate.
model::ModelConfig read_gguf_config(const Gguf& gguf, TensorTable& table,
                                    std::vector<std::string>& notes);

// The tokenizer keys, if there are any. Throws Error(format) if they contradict each other or the
// vocabulary. Ids are within the vocabulary; token_type is as long as tokens.
std::optional<GgufTokenizer> read_gguf_tokenizer(const Gguf& gguf, int64_t vocab_size);

}  // namespace hadal::format
