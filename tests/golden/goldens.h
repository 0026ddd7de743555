// Where the goldens lie, and their tensors. The full set is looked for in $HADAL_GOLDENS, then
// beside the checkout; a clone alone has the selection in tests/golden/data.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "format/safetensors_read.h"

namespace hadal::golden {

inline std::filesystem::path goldens_root() {
  if (const char* given = std::getenv("HADAL_GOLDENS")) return given;
  const std::filesystem::path source = HADAL_SOURCE_DIR;
  const std::filesystem::path beside = source.parent_path() / "shared" / "goldens";
  if (std::filesystem::exists(beside / "models")) return beside;
  return source / "tests" / "golden" / "data";
}

// The names of the entries of a folder of the goldens for which keep() holds, sorted.
template <typename Keep>
std::vector<std::string> golden_names(const std::string& folder, const Keep& keep) {
  std::vector<std::string> names;
  const std::filesystem::path root = goldens_root() / folder;
  if (!std::filesystem::exists(root)) return names;
  for (const auto& entry : std::filesystem::directory_iterator(root))
    if (keep(entry.path())) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

class Tensors {
 public:
  explicit Tensors(const std::filesystem::path& path) : file_(path.string()) {
    for (auto& tensor : format::parse_safetensors(file_.bytes(), path.string()))
      tensors_.emplace(tensor.name, std::move(tensor));
  }

  bool has(const std::string& name) const { return tensors_.contains(name); }
  const std::vector<int64_t>& shape(const std::string& name) const { return at(name).shape; }
  std::vector<float> floats(const std::string& name) const {
    return copy<float>(name, format::Dtype::F32);
  }
  std::vector<int64_t> integers(const std::string& name) const {
    return copy<int64_t>(name, format::Dtype::I64);
  }
  std::string bytes(const std::string& name) const {
    const auto data = at(name).data;
    return {reinterpret_cast<const char*>(data.data()), data.size()};
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& [name, tensor] : tensors_) out.push_back(name);
    return out;
  }

 private:
  const format::SafetensorsTensor& at(const std::string& name) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) fail(ErrorKind::format, "no golden tensor {}", name);
    return found->second;
  }
  template <typename T>
  std::vector<T> copy(const std::string& name, format::Dtype dtype) const {
    const format::SafetensorsTensor& tensor = at(name);
    if (tensor.dtype != dtype) fail(ErrorKind::format, "golden tensor {}: dtype", name);
    std::vector<T> out(tensor.data.size() / sizeof(T));
    std::memcpy(out.data(), tensor.data.data(), tensor.data.size());
    return out;
  }

  MappedFile file_;
  std::map<std::string, format::SafetensorsTensor> tensors_;
};

}  // namespace hadal::golden
