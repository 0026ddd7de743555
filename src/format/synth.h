// Models of a published shape with random weights, for measuring speed without downloading: the
// sizes, number formats and routing of the real thing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "format/convert.h"
#include "model/config.h"

namespace hadal::format {

struct Shape {
  std::string_view name;  // "deepseek-v2-lite"
  std::string_view description;
};
const std::vector<Shape>& published_shapes();
// The configuration of a shape, or nothing if the name is unknown.
std::optional<model::ModelConfig> shape_config(std::string_view name);
// The same with another number of layers; dense ones stay the first.
model::ModelConfig with_layers(model::ModelConfig config, int64_t layers);

struct SynthOptions {
  uint64_t seed = 1;
  bool replace = false;      // an existing output
  bool joined_up = false;    // GGUF: MLA as one attn_kv_b, the form of files before spring 2025
  WriteProgress progress{};  // may be empty
};

// Bytes of all tensors of such a file.
uint64_t synth_bytes(const model::ModelConfig& config, quant::Mixture mixture);

// Writes a GGUF file with random weights of this config, and a tokenizer of single bytes that
// encodes any text. The same seed gives the same file. Matrices keep the scale of activations;
// routers choose all experts about equally often. Errors as write_gguf's.
WriteReport write_synth(const model::ModelConfig& config, quant::Mixture mixture,
                        const std::string& path, const SynthOptions& options, ThreadPool& pool);

// The same as a Hugging Face folder in DeepSeek's FP8: codes with one scale per 128x128 in the
// layers' matrices, BF16 embedding, head and routers; without a tokenizer. Errors as write_hf's.
WriteReport write_synth_fp8(const model::ModelConfig& config, const std::string& folder,
                            const SynthOptions& options, ThreadPool& pool);
uint64_t synth_fp8_bytes(const model::ModelConfig& config);

}  // namespace hadal::format
