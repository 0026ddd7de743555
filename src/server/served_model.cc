#include "server/served_model.h"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "base/error.h"
#include "infer/sampling_defaults.h"
#include "kernels/kernels.h"
#include "quant/format.h"
#include "server/constraints.h"
#include "server/text.h"
#include "tokenizer/stream_parser.h"

namespace hadal::server {
namespace {

namespace fs = std::filesystem;

constexpr int64_t whole_bytes_max = int64_t{64} << 20;
constexpr int64_t sample_bytes = 64 << 10;
constexpr int64_t samples = 256;

const char* name_of(model::Precision precision) {
  switch (precision) {
    case model::Precision::native:
      return "native";
    case model::Precision::f32:
      return "f32";
    case model::Precision::bf16:
      return "bf16";
  }
  return "";
}

// "name-00001-of-00003.gguf": the other parts. Anything else: the file alone.
std::vector<std::string> shards_of(const fs::path& path) {
  const std::string name = path.filename().string();
  const size_t of = name.rfind("-of-");
  if (of == std::string::npos || of < 6) return {path.string()};
  const std::string front = name.substr(0, of - 5), back = name.substr(of);
  std::vector<std::string> files;
  std::error_code ignored;
  for (const auto& entry :
       fs::directory_iterator(path.parent_path().empty() ? "." : path.parent_path(), ignored)) {
    const std::string other = entry.path().filename().string();
    if (other.starts_with(front) && other.ends_with(back)) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string hash_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(ErrorKind::file, "{}: cannot be opened", path);
  const auto size = static_cast<int64_t>(fs::file_size(path));
  std::string bytes;
  const auto read = [&](int64_t at, int64_t count) {
    const size_t before = bytes.size();
    bytes.resize(before + static_cast<size_t>(count));
    file.seekg(at);
    file.read(bytes.data() + before, count);
  };
  if (size <= whole_bytes_max) {
    read(0, size);
  } else {
    for (int64_t i = 0; i < samples; ++i)
      read((size - sample_bytes) / (samples - 1) * i, sample_bytes);
    read(size - sample_bytes, sample_bytes);
  }
  if (!file) fail(ErrorKind::file, "{}: cannot be read", path);
  return sha256_hex(bytes);
}

// What decides the bits of an answer.
std::string bits_text(const std::string& model_hash, model::Precision precision,
                      quant::Type cache_type) {
  return fmt::format("{} {} {} {}", model_hash, name_of(precision),
                     quant::type_info(cache_type).name, kernels::active().name);
}

}  // namespace

ServedModel::ServedModel() : constraints(std::make_unique<Constraints>()) {}

ServedModel::~ServedModel() = default;

std::vector<std::string> model_files(const std::string& path) {
  if (!fs::is_directory(path)) return shards_of(path);
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(path)) {
    const std::string extension = entry.path().extension().string();
    if (entry.is_regular_file() && (extension == ".safetensors" || extension == ".json"))
      files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string hash_model(const std::string& path) {
  std::string all;
  for (const std::string& file : model_files(path))
    all += fmt::format("{} {}\n", fs::file_size(file), hash_file(file));
  return sha256_hex(all);
}

std::string cache_fingerprint(const std::string& model_hash, model::Precision precision,
                              quant::Type cache_type) {
  return bits_text(model_hash, precision, cache_type) + " " + hash_file("/proc/self/exe");
}

std::unique_ptr<ServedModel> open_served(const ModelOptions& options) {
  auto served = std::make_unique<ServedModel>();
  served->options = options;
  served->loaded = infer::open_model(options.path);
  infer::require_tokenizer(served->loaded);
  served->pool = std::make_unique<ThreadPool>(options.threads);
  infer::EngineOptions engine = options.engine;
  engine.precision = options.precision.value_or(infer::default_precision(served->loaded));
  served->hash = hash_model(options.path);
  served->precision = name_of(engine.precision);
  served->fingerprint =
      "fp_" +
      sha256_hex(bits_text(served->hash, engine.precision, engine.cache_type)).substr(0, 16);
  if (!engine.disk.folder.empty())
    engine.disk.fingerprint = cache_fingerprint(served->hash, engine.precision, engine.cache_type);
  served->engine = std::make_unique<infer::Engine>(served->loaded, *served->pool, engine);
  served->id = served->loaded.name;
  if (served->loaded.style) {
    served->generation = served->loaded.style->generation;
    served->default_system = served->loaded.style->default_system;
  }
  if (options.generation) served->generation = options.generation;
  served->sampling = infer::default_sampling(served->loaded);
  served->end_ids = tokenizer::answer_end_ids(*served->loaded.tokenizer);
  served->created = std::time(nullptr);
  return served;
}

std::vector<std::string> model_names(const ServedModel& model) {
  std::vector<std::string> names = {model.id};
  for (const std::string& alias : model.options.aliases) names.push_back(alias);
  names.insert(names.end(), {"deepseek-chat", "deepseek-reasoner"});
  return names;
}

ModelName resolve_name(const ServedModel& model, const std::string& name) {
  ModelName result;
  const std::vector<std::string> names = model_names(model);
  result.known = name.empty() || model.options.any_name ||
                 std::find(names.begin(), names.end(), name) != names.end();
  if (name == "deepseek-chat") result.thinking = false;
  if (name == "deepseek-reasoner") result.thinking = true;
  return result;
}

}  // namespace hadal::server
