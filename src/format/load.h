// Opens a model as it is published: a GGUF file (of a split set: any shard, or the first), or a
// Hugging Face folder with config.json and safetensors. Maps the files, checks everything that
// could hurt later, and binds tensors to their places in model::Model.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/weights.h"

namespace hadal::format {

// The tokenizer keys of a GGUF file. Views live as long as the Model's storage.
struct GgufTokenizer {
  std::string model;                     // "gpt2" for byte-level BPE
  std::string pre;                       // "deepseek-v3", "qwen2", "" ...
  std::vector<std::string_view> tokens;  // by id
  std::vector<int32_t> types;  // 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
  std::vector<std::string_view> merges;  // "left right", by rank
  int32_t bos_id = -1, eos_id = -1, eot_id = -1, pad_id = -1;
  bool add_bos = false, add_eos = false;
  // hadal.tokenizer.nfc: whether text is brought to NFC first, where the file says so. llama.cpp
  // has no such key; Hadal writes it where `pre` would imply the wrong thing.
  std::optional<bool> nfc;
};

struct LoadedFiles {
  std::unique_ptr<model::Model> model;
  std::string path;  // as given
  bool is_gguf = false;
  std::optional<GgufTokenizer> gguf_tokenizer;        // GGUF files that hold one
  std::string tokenizer_json, tokenizer_config_json;  // paths in a folder, "" where absent
  std::string chat_template;  // text, only ever compared with known ones, never executed; or ""
  std::vector<std::string>
      notes;  // what had to be assumed, for the user (groups of a V3 file, ...)
};

// Throws Error(file | format | unsupported) whose message names file and tensor or key.
LoadedFiles load_model(const std::string& path);

}  // namespace hadal::format
