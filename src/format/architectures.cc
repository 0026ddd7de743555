// What Hadal says about models that it cannot run.
#include <cmath>

#include "base/error.h"
#include "format/config_read.h"
#include "format/printable.h"

namespace hadal::format {
namespace {

struct Known {
  std::string_view architecture, what;
};
constexpr Known known[] = {
    {"deepseek_v32", "DeepSeek-V3.2: sparse attention with a lightning indexer"},
    {"deepseek32", "DeepSeek-V3.2: sparse attention with a lightning indexer"},
    {"deepseek_v4", "DeepSeek-V4: compressed sparse attention and hyper-connections"},
    {"deepseek4", "DeepSeek-V4: compressed sparse attention and hyper-connections"},
    {"deepseek41", "DeepSeek-V4.1: compressed sparse attention and hyper-connections"},
    {"deepseek", "DeepSeek's first mixture of experts, with plain attention"},
    {"glm-dsa", "GLM with DeepSeek's sparse attention"},
    {"kimi_k25", "Kimi K2.5: images, and INT4 weights in the compressed-tensors format"},
};

}  // namespace

void refuse_architecture(std::string_view architecture, std::string_view source) {
  for (const Known& entry : known)
    if (entry.architecture == architecture)
      fail(ErrorKind::unsupported, "{}: the architecture is {} ({}); Hadal cannot run it yet",
           source, architecture, entry.what);
  fail(ErrorKind::unsupported,
       "{}: the architecture \"{}\" is none that Hadal runs (deepseek_v2, deepseek_v3, kimi_k2, "
       "llama, qwen2, qwen3; in GGUF files deepseek2, llama, qwen2, qwen3)",
       source, printable(architecture));
}

void validate_config(const model::ModelConfig& config, std::string_view source) {
  try {
    model::validate(config);
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{}: {}", source, error.what()));
  }
}

double yarn_mscale(double scale, double mscale) {
  return scale <= 1.0 ? 1.0 : 0.1 * mscale * std::log(scale) + 1.0;
}

}  // namespace hadal::format
