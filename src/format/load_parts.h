// The two kinds of models that load_model opens.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "format/gguf_read.h"
#include "format/load.h"
#include "format/safetensors_read.h"
#include "format/tensor_table.h"

namespace hadal::format {

// A Hugging Face folder: config.json, model.safetensors or shards with an index, and what lies
// beside them.
LoadedFiles load_hf_folder(const std::string& folder);
// A GGUF file or split set.
LoadedFiles load_gguf(const std::string& path);

// The same from files in memory, the first of which has the keys. The bytes must outlive the
// result.
LoadedFiles bind_gguf_parts(const std::vector<const Gguf*>& parts, const std::string& path);

// Maps the folder's safetensors files and enters their tensors; keep what this returns, and the
// views stay valid.
std::vector<std::shared_ptr<const void>> map_folder(const std::string& folder, TensorTable& table);

// Enters a tensor of a safetensors file. Throws Error(format).
void add_tensor(const SafetensorsTensor& tensor, std::string_view file, TensorTable& table);

}  // namespace hadal::format
