#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "base/error.h"
#include "base/mapped_file.h"
#include "format/bind.h"
#include "format/config_read.h"
#include "format/json_guard.h"
#include "format/load_parts.h"
#include "format/printable.h"
#include "format/safetensors_read.h"

namespace hadal::format {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t config_bytes_max = size_t{4} << 20;
constexpr size_t template_bytes_max = size_t{4} << 20;

std::string existing(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error) ? path.string() : "";
}

// Everything that a table's views point into.
struct MappedTensors {
  MappedFile file;
  std::vector<SafetensorsTensor> tensors;

  explicit MappedTensors(const std::string& path)
      : file(path), tensors(parse_safetensors(file.bytes(), path)) {}
};

// File names of the index -> the tensors that it puts there.
std::map<std::string, std::set<std::string>> read_index(const std::string& path) {
  const json index = read_json(path);
  const JsonObject object(index, path);
  const auto weight_map = object.object("weight_map");
  if (!weight_map) fail(ErrorKind::format, "{}: the key weight_map is missing", path);
  std::map<std::string, std::set<std::string>> files;
  for (const auto& [name, value] : index.at("weight_map").items()) {
    const std::string file = weight_map->string_or(name, "");
    // A plain name: an index must not reach out of its folder.
    if (file.empty() || file.find('/') != std::string::npos ||
        file.find('\\') != std::string::npos || file.starts_with(".") ||
        !file.ends_with(".safetensors"))
      fail(ErrorKind::format,
           "{}: tensor {} is said to be in \"{}\", expected the name of a .safetensors file in the "
           "same folder",
           path, printable(name), printable(file));
    files[file].insert(name);
  }
  return files;
}

std::string read_text(const std::string& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  if (bytes.size() > template_bytes_max)
    fail(ErrorKind::format, "{}: {} bytes, expected at most {}", path, bytes.size(),
         template_bytes_max);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// chat_template.jinja, or tokenizer_config.json's chat_template: a text, or a list of named ones of
// which "default" counts.
std::string read_chat_template(const fs::path& folder, const std::string& tokenizer_config) {
  const std::string jinja = existing(folder / "chat_template.jinja");
  if (!jinja.empty()) return read_text(jinja);
  if (tokenizer_config.empty()) return "";
  const json config = read_json(tokenizer_config);
  const JsonObject object(config, tokenizer_config);
  const json* chat_template = object.find("chat_template");
  if (chat_template == nullptr) return "";
  if (!chat_template->is_array()) return object.string_or("chat_template", "");
  for (const json& entry : *chat_template) {
    const JsonObject named(entry, tokenizer_config, "chat_template[].");
    if (named.string_or("name", "") == "default") return named.string_or("template", "");
  }
  return "";
}

// A generation_config.json adds end-of-text ids that config.json does not know.
void add_generation_eos(const std::string& path, model::ModelConfig& config) {
  if (path.empty()) return;
  const json generation = read_json(path, config_bytes_max);
  for (const int64_t id : JsonObject(generation, path).integers("eos_token_id")) {
    if (id < 0 || id >= config.vocab_size)
      fail(ErrorKind::format, "{}: eos_token_id {} is none of the {} tokens", path, id,
           config.vocab_size);
    const auto id32 = static_cast<int32_t>(id);
    auto& ids = config.eos_ids;
    if (std::find(ids.begin(), ids.end(), id32) == ids.end()) ids.push_back(id32);
  }
}

}  // namespace

void add_tensor(const SafetensorsTensor& from, std::string_view file, TensorTable& table) {
  Tensor tensor;
  tensor.name = from.name;
  tensor.file = file;
  tensor.type = weight_type(from.dtype);
  tensor.type_name = dtype_name(from.dtype);
  if (from.shape.size() > tensor.shape.size())
    fail(ErrorKind::format, "{}: tensor {} has {} extents, expected at most {}", file, from.name,
         from.shape.size(), tensor.shape.size());
  tensor.rank = static_cast<int>(from.shape.size());
  std::copy(from.shape.begin(), from.shape.end(), tensor.shape.begin());
  tensor.data = from.data;
  table.add(tensor);
}

std::vector<std::shared_ptr<const void>> map_folder(const std::string& folder, TensorTable& table) {
  std::vector<std::shared_ptr<const void>> keep;
  const auto map = [&](const std::string& path) {
    auto shard = std::make_shared<MappedTensors>(path);
    shard->file.map_cached_pages();
    keep.push_back(shard);
    return shard;
  };
  const std::string single = existing(fs::path(folder) / "model.safetensors");
  if (!single.empty()) {
    const auto shard = map(single);
    for (const auto& tensor : shard->tensors) add_tensor(tensor, shard->file.path(), table);
    return keep;
  }
  const std::string index = existing(fs::path(folder) / "model.safetensors.index.json");
  if (index.empty())
    fail(ErrorKind::file, "{}: neither model.safetensors nor model.safetensors.index.json is there",
         folder);
  for (auto& [file, names] : read_index(index)) {
    const auto shard = map((fs::path(folder) / file).string());
    for (const auto& tensor : shard->tensors)
      if (names.erase(tensor.name) > 0) add_tensor(tensor, shard->file.path(), table);
    if (!names.empty())
      fail(ErrorKind::format, "{}: tensor {} is missing; {} says that it is here",
           shard->file.path(), *names.begin(), index);
  }
  return keep;
}

LoadedFiles load_hf_folder(const std::string& path) {
  const fs::path folder(path);
  const std::string config_path = existing(folder / "config.json");
  if (config_path.empty())
    fail(ErrorKind::file,
         "{}: no config.json here; expected a GGUF file or a Hugging Face model folder", path);
  HfConfig config = read_hf_config(read_json(config_path, config_bytes_max), config_path);
  config.model.name = fs::absolute(folder).lexically_normal().filename().string();
  if (config.model.name.empty())
    config.model.name = fs::absolute(folder).lexically_normal().parent_path().filename().string();
  add_generation_eos(existing(folder / "generation_config.json"), config.model);

  LoadedFiles files;
  files.path = path;
  files.notes = std::move(config.notes);
  TensorTable table(path);
  const auto shards = map_folder(path, table);
  files.model = bind_hf(config.model, table, files.notes);
  for (const Tensor& tensor : table.tensors())
    files.model->file_bytes += static_cast<int64_t>(tensor.data.size());
  for (const auto& shard : shards) files.model->storage.push_back(shard);
  files.tokenizer_json = existing(folder / "tokenizer.json");
  files.tokenizer_config_json = existing(folder / "tokenizer_config.json");
  files.chat_template = read_chat_template(folder, files.tokenizer_config_json);
  return files;
}

}  // namespace hadal::format
