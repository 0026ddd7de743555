#include "format/safetensors_write.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/error.h"
#include "quant/format.h"

namespace hadal::format {
namespace {

const char* dtype_of(quant::Type type) {
  switch (type) {
    case quant::Type::F32:
      return "F32";
    case quant::Type::F16:
      return "F16";
    case quant::Type::BF16:
      return "BF16";
    case quant::Type::FP8_E4M3:
      return "F8_E4M3";
    case quant::Type::I32:
      return "I32";
    default:
      break;
  }
  HADAL_CHECK(false, "safetensors has no {}", quant::type_info(type).name);
  return "";
}

uint64_t bytes_of(const SafetensorsInfo& tensor) {
  uint64_t bytes = static_cast<uint64_t>(quant::type_info(tensor.type).block_bytes);
  for (const int64_t extent : tensor.shape) bytes *= static_cast<uint64_t>(extent);
  return bytes;
}

class Header {
 public:
  Header() { json_["__metadata__"] = {{"format", "pt"}}; }  // transformers wants it said

  void add(const std::string& name, std::string_view dtype, const std::vector<int64_t>& shape,
           uint64_t bytes) {
    json_[name] = {
        {"dtype", dtype}, {"shape", shape}, {"data_offsets", {offset_, offset_ + bytes}}};
    offset_ += bytes;
  }

  // The file's first bytes, up to the data.
  std::string bytes() const {
    std::string text = json_.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');  // the data begins at a multiple of 8
    const uint64_t size = text.size();
    std::string out(reinterpret_cast<const char*>(&size), sizeof size);
    return out + text;
  }

 private:
  nlohmann::ordered_json json_;
  uint64_t offset_ = 0;
};

}  // namespace

SafetensorsWriter::SafetensorsWriter(std::string folder, std::vector<SafetensorsInfo> tensors,
                                     bool replace, uint64_t shard_bytes)
    : folder_(std::move(folder)), tensors_(std::move(tensors)), replace_(replace) {
  size_t first = 0;
  uint64_t bytes = 0;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const uint64_t size = bytes_of(tensors_[i]);
    if (i > first && bytes + size > shard_bytes) {
      shards_.push_back({first, i, bytes, ""});
      first = i;
      bytes = 0;
    }
    bytes += size;
    total_bytes_ += size;
  }
  shards_.push_back({first, tensors_.size(), bytes, ""});
  for (size_t i = 0; i < shards_.size(); ++i) {
    shards_[i].path = shards_.size() == 1 ? folder_ + "/model.safetensors"
                                          : fmt::format("{}/model-{:05}-of-{:05}.safetensors",
                                                        folder_, i + 1, shards_.size());
  }
  current_ = shards_.size();  // none is open
  if (!tensors_.empty()) {
    current_ = 0;
    open_shard();
  }
}

SafetensorsWriter::~SafetensorsWriter() {
  if (finished_) return;
  for (size_t i = 0; i < std::min(current_, shards_.size()); ++i) {
    ::unlink(shards_[i].path.c_str());
  }
}

void SafetensorsWriter::open_shard() {
  const Shard& shard = shards_[current_];
  file_ = std::make_unique<OutputFile>(shard.path, replace_);
  Header header;
  for (size_t i = shard.first; i < shard.end; ++i) {
    const SafetensorsInfo& tensor = tensors_[i];
    header.add(tensor.name, dtype_of(tensor.type), tensor.shape, bytes_of(tensor));
  }
  const std::string bytes = header.bytes();
  file_->write(bytes.data(), bytes.size());
  current_done_ = 0;
}

void SafetensorsWriter::close_shard() {
  file_->commit();
  file_.reset();
  ++current_;
}

void SafetensorsWriter::write(const void* data, size_t bytes) {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    HADAL_CHECK(current_ < shards_.size(), "{}: more data than tensors", folder_);
    const uint64_t n = std::min<uint64_t>(shards_[current_].bytes - current_done_, bytes);
    file_->write(from, n);
    from += n;
    bytes -= n;
    current_done_ += n;
    if (current_done_ == shards_[current_].bytes) {
      close_shard();
      if (current_ < shards_.size()) open_shard();
    }
  }
}

void SafetensorsWriter::write_index() const {
  nlohmann::ordered_json index;
  index["metadata"] = {{"total_size", total_bytes_}};
  nlohmann::ordered_json& map = index["weight_map"];
  for (const Shard& shard : shards_) {
    for (size_t i = shard.first; i < shard.end; ++i) {
      map[tensors_[i].name] = shard.path.substr(folder_.size() + 1);
    }
  }
  const std::string text = index.dump(2) + "\n";
  OutputFile file(folder_ + "/model.safetensors.index.json", replace_);
  file.write(text.data(), text.size());
  file.commit();
}

void SafetensorsWriter::finish() {
  if (file_ && shards_[current_].bytes == 0) close_shard();
  HADAL_CHECK(current_ == shards_.size(), "{}: shard {} is incomplete", folder_, current_);
  if (shards_.size() > 1) write_index();
  finished_ = true;
}

void write_safetensors(const std::string& path, std::span<const SafetensorsTensor> tensors,
                       bool replace) {
  Header header;
  for (const SafetensorsTensor& tensor : tensors)
    header.add(tensor.name, dtype_name(tensor.dtype), tensor.shape, tensor.data.size());
  const std::string bytes = header.bytes();
  OutputFile file(path, replace);
  file.write(bytes.data(), bytes.size());
  for (const SafetensorsTensor& tensor : tensors)
    file.write(tensor.data.data(), tensor.data.size());
  file.commit();
}

}  // namespace hadal::format
