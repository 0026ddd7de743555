#include "format/load.h"

#include <filesystem>

#include "base/error.h"
#include "format/load_parts.h"

namespace hadal::format {

LoadedFiles load_model(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) fail(ErrorKind::file, "{}: there is no such file or folder", path);
  if (fs::is_directory(status)) return load_hf_folder(path);
  const std::string extension = fs::path(path).extension().string();
  if (extension == ".safetensors" || extension == ".json")
    fail(ErrorKind::usage, "{}: give the folder that holds config.json and the .safetensors files",
         path);
  return load_gguf(path);
}

}  // namespace hadal::format
