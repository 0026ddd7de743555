// One GGUF file, or all files of a split set, mapped.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "format/gguf_read.h"
#include "format/tensor_table.h"

namespace hadal::format {

class GgufShards {
 public:
  // path: the file, or any file of a set NAME-0000i-of-0000n.gguf. Throws Error(file | format).
  explicit GgufShards(const std::string& path);

  // In the order of their numbers; the first has the keys.
  std::vector<const Gguf*> parts() const {
    std::vector<const Gguf*> parts;
    parts.reserve(shards_.size());
    for (const auto& shard : shards_) parts.push_back(shard.get());
    return parts;
  }
  // Keep these, and the views stay valid.
  const std::vector<std::shared_ptr<const MappedFile>>& files() const { return files_; }

 private:
  std::vector<std::shared_ptr<const MappedFile>> files_;
  std::vector<std::unique_ptr<Gguf>> shards_;
};

Tensor as_tensor(const Gguf& gguf, const GgufTensor& from);

}  // namespace hadal::format
