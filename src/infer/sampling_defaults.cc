#include "infer/sampling_defaults.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace hadal::infer {
namespace {

constexpr int64_t kSmallParameters = 500'000'000;
constexpr std::uintmax_t kConfigBytesMax = 1 << 20;

// The makers' model cards and API defaults (docs/cli.md).
SamplingParams recommended(tokenizer::Generation generation) {
  using tokenizer::Generation;
  SamplingParams params;
  switch (generation) {
    case Generation::v2:
    case Generation::v25:
    case Generation::v3:
      params.temperature = 0.3;
      params.top_p = 0.95;
      break;
    case Generation::r1:
    case Generation::v31:
      params.temperature = 0.6;
      params.top_p = 0.95;
      break;
    case Generation::v32:
    case Generation::v4:
      params.temperature = 1.0;
      params.top_p = 0.95;
      break;
    case Generation::chatml:
      params.temperature = 0.7;
      params.top_p = 0.8;
      params.top_k = 20;
      break;
    case Generation::qwen3:
      params.temperature = 0.6;
      params.top_p = 0.95;
      params.top_k = 20;
      break;
    case Generation::llama3:
      params.temperature = 0.6;
      params.top_p = 0.9;
      break;
  }
  return params;
}

bool is_small(const LoadedModel& loaded) {
  return model::count_parameters(loaded.model->config).total < kSmallParameters;
}

}  // namespace

model::Precision default_precision(const LoadedModel& loaded) {
  return is_small(loaded) ? model::Precision::f32 : model::Precision::native;
}

SamplingParams default_sampling(const LoadedModel& loaded) {
  SamplingParams params;
  if (is_small(loaded)) {
    params.temperature = 0;
    return params;
  }
  if (loaded.style) params = recommended(loaded.style->generation);
  const std::filesystem::path path = std::filesystem::path(loaded.path) / "generation_config.json";
  std::error_code missing;
  const std::uintmax_t size = std::filesystem::file_size(path, missing);
  if (missing || size > kConfigBytesMax) return params;
  std::ifstream file(path, std::ios::binary);
  read_generation_config({std::istreambuf_iterator<char>(file), {}}, path.string(), params);
  return params;
}

void read_generation_config(const std::string& text, const std::string& path,
                            SamplingParams& params) {
  const nlohmann::json root = nlohmann::json::parse(text, nullptr, false);
  if (!root.is_object()) fail(ErrorKind::format, "{}: expected a JSON object", path);
  const auto number = [&](const char* key, auto& value) {
    const auto found = root.find(key);
    if (found != root.end() && found->is_number()) found->get_to(value);
  };
  const auto sample = root.find("do_sample");
  if (sample != root.end() && sample->is_boolean() && !sample->get<bool>()) {
    params.temperature = 0;
    return;
  }
  number("temperature", params.temperature);
  number("top_p", params.top_p);
  number("top_k", params.top_k);
  number("repetition_penalty", params.repetition_penalty);
}

}  // namespace hadal::infer
