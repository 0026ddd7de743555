// Writes safetensors: one file, or shards with an index once a size is passed, tensor after tensor.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/output_file.h"
#include "format/safetensors_read.h"
#include "quant/type.h"

namespace hadal::format {

struct SafetensorsInfo {
  std::string name;
  quant::Type type;  // F32, F16, BF16, FP8_E4M3 or I32
  std::vector<int64_t> shape;
};

class SafetensorsWriter {
 public:
  // Writes folder/model.safetensors, or folder/model-0000i-of-0000n.safetensors with
  // model.safetensors.index.json where the tensors exceed shard_bytes. The folder must exist.
  // Throws as OutputFile does.
  SafetensorsWriter(std::string folder, std::vector<SafetensorsInfo> tensors, bool replace,
                    uint64_t shard_bytes = uint64_t{5'000'000'000});

  uint64_t total_bytes() const { return total_bytes_; }  // of all tensors
  // Appends bytes of the tensors in their order; pieces may end anywhere. Throws Error(file).
  void write(const void* data, size_t bytes);
  // Completes the last file and the index. Shards appear one by one, as they are complete; if a
  // writer is destroyed before finish(), those that it wrote are removed.
  void finish();
  ~SafetensorsWriter();

 private:
  struct Shard {
    size_t first, end;  // tensors
    uint64_t bytes;
    std::string path;
  };
  void open_shard();
  void close_shard();
  void write_index() const;

  std::string folder_;
  std::vector<SafetensorsInfo> tensors_;
  bool replace_;
  uint64_t total_bytes_ = 0;
  std::vector<Shard> shards_;
  size_t current_ = 0;
  uint64_t current_done_ = 0;
  std::unique_ptr<OutputFile> file_;
  bool finished_ = false;
};

// Writes one file of tensors that are in memory, whole or not at all. Throws as OutputFile does.
void write_safetensors(const std::string& path, std::span<const SafetensorsTensor> tensors,
                       bool replace);

}  // namespace hadal::format
