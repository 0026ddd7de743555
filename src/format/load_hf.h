// A Hugging Face folder: config.json, model.safetensors or shards with an index, and what lies
// beside them.
#pragma once

#include <string>

#include "format/load.h"

namespace hadal::format {

LoadedFiles load_hf_folder(const std::string& folder);
LoadedFiles load_gguf(const std::string& path);

}  // namespace hadal::format
