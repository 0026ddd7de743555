// Random models as Hugging Face folders in the FP8 that DeepSeek publishes.
#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/output_file.h"
#include "format/config_write.h"
#include "format/safetensors_write.h"
#include "format/synth.h"
#include "format/synth_parts.h"
#include "quant/format.h"
#include "quant/random_blocks.h"

namespace hadal::format {
namespace {

using model::ModelConfig;
using quant::Type;

constexpr int64_t tile = 128;  // one scale per tile x tile

// As in synth.cc: activations keep unit size, what is added to them is damped.
float deviation_of(const PlannedTensor& tensor, const ModelConfig& c) {
  if (tensor.name == "model.embed_tokens.weight") return 1.0f;
  double deviation = 1.0 / std::sqrt(static_cast<double>(tensor.rows->cols()));
  const bool down = tensor.name.find("down_proj") != std::string::npos;
  if (down || tensor.name.find("o_proj") != std::string::npos)
    deviation /= std::sqrt(2.0 * static_cast<double>(c.layers));
  if (down && tensor.name.find(".experts.") != std::string::npos)
    deviation /= c.expert_weights_scale;
  return static_cast<float>(deviation);
}

struct Fp8Tensor {
  PlannedTensor planned;
  Type type;
  float deviation;
};

Type type_of(const PlannedTensor& tensor) {
  if (tensor.rows->type() == Type::F32) return Type::F32;  // vectors
  return tensor.name.find("_proj") != std::string::npos ? Type::FP8_E4M3 : Type::BF16;
}

// All tensors, the scales of an FP8 matrix behind it.
std::vector<Fp8Tensor> plan_fp8(const model::Model& model) {
  std::vector<Fp8Tensor> out;
  for (PlannedTensor& tensor : plan_hf(model)) {
    const Type type = type_of(tensor);
    const float deviation = deviation_of(tensor, model.config);
    const int64_t rows = (tensor.rows->rows() + tile - 1) / tile;
    const int64_t cols = (tensor.rows->cols() + tile - 1) / tile;
    const std::string scales = tensor.name + "_scale_inv";
    out.push_back({std::move(tensor), type, deviation});
    if (type != Type::FP8_E4M3) continue;
    const std::vector<float> values(static_cast<size_t>(rows * cols),
                                    deviation / quant::fp8_deviation);
    out.push_back({{scales, {rows, cols}, float_rows(values, cols)}, Type::F32, 0.0f});
  }
  return out;
}

uint64_t bytes_of(const std::vector<Fp8Tensor>& tensors) {
  uint64_t bytes = 0;
  for (const Fp8Tensor& tensor : tensors) {
    const Rows& rows = *tensor.planned.rows;
    bytes += quant::row_bytes(tensor.type, rows.cols()) * static_cast<uint64_t>(rows.rows());
  }
  return bytes;
}

}  // namespace

uint64_t synth_fp8_bytes(const ModelConfig& config) {
  return bytes_of(plan_fp8(skeleton(config)));
}

WriteReport write_synth_fp8(const ModelConfig& config, const std::string& folder,
                            const SynthOptions& options, ThreadPool& pool) {
  HADAL_CHECK(config.is_mla(), "random models are MLA's");
  model::validate(config);
  const model::Model model = skeleton(config);
  const std::vector<Fp8Tensor> tensors = plan_fp8(model);
  WriteReport report;
  report.bytes_after = bytes_of(tensors);
  std::vector<SafetensorsInfo> infos;
  for (const Fp8Tensor& tensor : tensors) {
    infos.push_back({tensor.planned.name, tensor.type, tensor.planned.shape});
    const Rows& rows = *tensor.planned.rows;
    const bool scales = tensor.type == Type::F32 && tensor.planned.shape.size() == 2;
    if (!scales) report.weights += static_cast<uint64_t>(rows.rows() * rows.cols());
  }
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(ErrorKind::file, "cannot make the folder {}: {}", folder, error.message());
  const std::string text = hf_config_text(config, "bfloat16", true);
  OutputFile config_file(folder + "/config.json", options.replace);
  config_file.write(text.data(), text.size());
  SafetensorsWriter writer(folder, std::move(infos), options.replace);
  RandomTensors random([&](const void* data, size_t bytes) { writer.write(data, bytes); }, pool,
                       options.seed, options.progress, report.bytes_after);
  for (size_t i = 0; i < tensors.size(); ++i) {
    random.write(tensors[i].planned, tensors[i].type, tensors[i].deviation, i);
  }
  writer.finish();
  config_file.commit();
  return report;
}

}  // namespace hadal::format
