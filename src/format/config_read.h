// config.json or GGUF keys -> model::ModelConfig.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/config.h"

namespace hadal::format {

// How FP8 weights are scaled, from quantization_config.
struct HfConfig {
  model::ModelConfig model;
  bool fp8 = false;  // some weights are FP8 e4m3 with one scale per 128x128 tile
  std::vector<std::string> notes;
};

// A Hugging Face config.json of any model that Hadal runs: deepseek_v2, deepseek_v3, kimi_k2,
// llama, qwen2, qwen3. Throws Error(format) naming source and key, Error(unsupported) for models
// and settings that are known but not run. The result has passed model::validate.
HfConfig read_hf_config(const nlohmann::json& json, const std::string& source);

// Throws Error(unsupported) if `architecture` (a model_type, or GGUF's general.architecture) is one
// that Hadal knows of but cannot run, saying what it is; for unknown ones too.
[[noreturn]] void refuse_architecture(std::string_view architecture, std::string_view source);

// model::validate, whose errors then name `source`.
void validate_config(const model::ModelConfig& config, std::string_view source);

// The factor of YaRN on attention: 1 for scale <= 1, else 0.1 * mscale * ln(scale) + 1.
double yarn_mscale(double scale, double mscale);

}  // namespace hadal::format
