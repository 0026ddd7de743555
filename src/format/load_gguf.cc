#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/error.h"
#include "base/mapped_file.h"
#include "format/bind.h"
#include "format/config_read.h"
#include "format/gguf_config.h"
#include "format/gguf_read.h"
#include "format/gguf_shards.h"
#include "format/load_parts.h"
#include "quant/format.h"

namespace hadal::format {
namespace {

// NAME-00002-of-00003.gguf
constexpr std::string_view split_example = "NAME-00001-of-00003.gguf";
constexpr size_t split_suffix_bytes = split_example.size() - std::string_view("NAME").size();

// The path of shard `number` (from 1) of the set that `path` belongs to.
std::string shard_path(const std::string& path, int64_t number, int64_t count) {
  const std::string stem = path.size() > split_suffix_bytes
                               ? path.substr(0, path.size() - split_suffix_bytes)
                               : std::string();
  const auto name = [&](int64_t n) {
    return fmt::format("{}-{:05}-of-{:05}.gguf", stem, n, count);
  };
  for (int64_t n = 1; n <= count; ++n)
    if (name(n) == path) return name(number);
  fail(ErrorKind::format, "{}: one of {} parts (split.count), but not named like {}", path, count,
       split_example);
}

}  // namespace

Tensor as_tensor(const Gguf& gguf, const GgufTensor& from) {
  Tensor tensor;
  tensor.name = from.name;
  tensor.file = gguf.source();
  tensor.type = from.type;
  tensor.type_name =
      from.type ? quant::type_info(*from.type).name : quant::foreign_type_name(from.type_id);
  tensor.type_id = from.type_id;
  tensor.rank = from.rank;
  tensor.shape = from.shape;
  tensor.data = from.data;
  return tensor;
}

GgufShards::GgufShards(const std::string& path) {
  constexpr int64_t shards_max = 99999;  // five digits in a name
  const auto open = [&](const std::string& shard) {
    files_.push_back(std::make_shared<const MappedFile>(shard));
    shards_.push_back(std::make_unique<Gguf>(files_.back()->bytes(), shard));
  };
  open(path);
  const int64_t count = shards_[0]->integer_or("split.count", 1);
  if (count < 0 || count > shards_max)
    fail(ErrorKind::format, "{}: split.count is {}, expected 1 to {}", path, count, shards_max);
  if (count <= 1) return;
  files_.clear();
  shards_.clear();
  int64_t tensors = 0;
  for (int64_t i = 0; i < count; ++i) {
    open(shard_path(path, i + 1, count));
    const Gguf& shard = *shards_.back();
    if (shard.integer("split.no") != i || shard.integer("split.count") != count)
      fail(ErrorKind::format, "{}: split.no {} of {}, expected {} of {} by its name",
           shard.source(), shard.integer("split.no"), shard.integer("split.count"), i, count);
    tensors += static_cast<int64_t>(shard.tensors().size());
  }
  const int64_t expected = shards_[0]->integer_or("split.tensors.count", tensors);
  if (tensors != expected)
    fail(ErrorKind::format, "{}: the {} parts hold {} tensors, expected {} (split.tensors.count)",
         path, count, tensors, expected);
}

LoadedFiles bind_gguf_parts(const std::vector<const Gguf*>& parts, const std::string& path) {
  LoadedFiles files;
  files.path = path;
  files.is_gguf = true;
  const Gguf& first = *parts[0];
  TensorTable table(first.source());
  int64_t bytes = 0;
  for (const Gguf* part : parts)
    for (const GgufTensor& tensor : part->tensors()) {
      table.add(as_tensor(*part, tensor));
      bytes += static_cast<int64_t>(tensor.data.size());
    }
  const model::ModelConfig config = read_gguf_config(first, table, files.notes);
  files.gguf_tokenizer = read_gguf_tokenizer(first, config.vocab_size);
  files.chat_template = first.string_or("tokenizer.chat_template", "");
  files.model = bind_gguf(config, table, files.notes);
  files.model->file_bytes = bytes;
  if (files.model->config.name.empty())
    files.model->config.name = std::filesystem::path(path).stem().string();
  return files;
}

LoadedFiles load_gguf(const std::string& path) {
  const GgufShards shards(path);
  LoadedFiles files = bind_gguf_parts(shards.parts(), path);
  for (const auto& file : shards.files()) {
    file->map_cached_pages();
    files.model->storage.push_back(file);
  }
  return files;
}

}  // namespace hadal::format
