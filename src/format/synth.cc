#include "format/synth.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "format/config_write.h"
#include "format/gguf_write.h"
#include "format/rows.h"
#include "format/synth_parts.h"
#include "quant/format.h"

namespace hadal::format {
namespace {

using model::ModelConfig;
using quant::Type;

std::vector<Type> choose_types(const std::vector<PlannedTensor>& tensors, const ModelConfig& c,
                               quant::Mixture mixture) {
  std::vector<Type> types;
  for (const PlannedTensor& tensor : tensors) {
    types.push_back(quant::choose_type(mixture, tensor.name, static_cast<int>(tensor.shape.size()),
                                       tensor.rows->cols(), {c.layers, !c.tied_head}));
  }
  return types;
}

uint64_t sum_bytes(const std::vector<PlannedTensor>& tensors, const std::vector<Type>& types) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    bytes += quant::row_bytes(types[i], tensors[i].rows->cols()) *
             static_cast<uint64_t>(tensors[i].rows->rows());
  }
  return bytes;
}

// The standard deviation that keeps activations at unit size: 1 / sqrt(inputs); what is added to
// the residual stream is damped, so that all layers together double its size at most.
float deviation_of(const PlannedTensor& tensor, const ModelConfig& c) {
  const bool transposed = tensor.name.ends_with("attn_k_b.weight");
  const auto inputs = static_cast<double>(transposed ? c.kv_lora_rank : tensor.rows->cols());
  double deviation = 1.0 / std::sqrt(inputs);
  if (tensor.name == "token_embd.weight") deviation = 1.0;
  const bool to_residual = tensor.name.find("attn_output") != std::string::npos ||
                           tensor.name.find("ffn_down") != std::string::npos;
  if (to_residual) deviation /= std::sqrt(2.0 * static_cast<double>(c.layers));
  if (tensor.name.find("ffn_down_exps") != std::string::npos) deviation /= c.expert_weights_scale;
  return static_cast<float>(deviation);
}

// attn_k_b and attn_v_b -> attn_kv_b [heads * (nope + value), rank], as files were before MLA
// engines kept the latent.
void join_up(const ModelConfig& c, std::vector<PlannedTensor>& tensors) {
  const int64_t rows = c.heads * (c.qk_nope_dim + c.v_dim);
  for (PlannedTensor& tensor : tensors) {
    const size_t at = tensor.name.find("attn_k_b.weight");
    if (at == std::string::npos) continue;
    tensor = {tensor.name.substr(0, at) + "attn_kv_b.weight",
              {rows, c.kv_lora_rank},
              stacked_rows({shape_of(rows, c.kv_lora_rank)})};
  }
  std::erase_if(tensors,
                [](const PlannedTensor& t) { return t.name.ends_with("attn_v_b.weight"); });
}

// Tokens for the 256 bytes in GPT-2's alphabet, after the special ones of V3's dialogues.
class ByteTokenizer {
 public:
  ByteTokenizer() {
    constexpr std::array special = {"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>",
                                    "<｜▁pad▁｜>", "<｜User｜>", "<｜Assistant｜>"};
    texts_.assign(special.begin(), special.end());
    int shifted = 256;
    for (int byte = 0; byte < 256; ++byte) {
      const bool shown = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
      const int code = shown ? byte : shifted++;
      std::string text;
      if (code < 128) {
        text += static_cast<char>(code);
      } else {
        text += static_cast<char>(0xC0 | code >> 6);
        text += static_cast<char>(0x80 | (code & 0x3F));
      }
      texts_.push_back(text);
    }
    parts_.model = "gpt2";
    parts_.pre = "deepseek-v3";
    parts_.tokens.assign(texts_.begin(), texts_.end());
    parts_.types.assign(texts_.size(), 1);
    std::fill_n(parts_.types.begin(), special.size(), 3);
    parts_.bos_id = 0;
    parts_.eos_id = 1;
    parts_.pad_id = 2;
    parts_.add_bos = true;
  }
  const GgufTokenizer& parts() const { return parts_; }

 private:
  std::vector<std::string> texts_;
  GgufTokenizer parts_;
};

}  // namespace

uint64_t synth_bytes(const ModelConfig& config, quant::Mixture mixture) {
  const model::Model model = skeleton(config);
  const std::vector<PlannedTensor> tensors = plan_gguf(model);
  return sum_bytes(tensors, choose_types(tensors, config, mixture));
}

WriteReport write_synth(const ModelConfig& config, quant::Mixture mixture, const std::string& path,
                        const SynthOptions& options, ThreadPool& pool) {
  HADAL_CHECK(config.is_mla(), "random models are MLA's");
  model::validate(config);
  const model::Model model = skeleton(config);
  std::vector<PlannedTensor> tensors = plan_gguf(model);
  if (options.joined_up) join_up(config, tensors);
  const std::vector<Type> types = choose_types(tensors, config, mixture);
  WriteReport report;
  report.bytes_after = sum_bytes(tensors, types);
  GgufWriter writer(path, options.replace);
  add_model_keys(config, quant::mixture_file_type(mixture), writer.keys(),
                 options.joined_up ? MlaKeys::each_head : MlaKeys::shared_head);
  const ByteTokenizer tokenizer;
  add_tokenizer_keys(tokenizer.parts(), "", config.vocab_size, writer.keys());
  add_token_ids(config, &tokenizer.parts(), writer.keys());
  for (size_t i = 0; i < tensors.size(); ++i) {
    writer.add_tensor(tensors[i].name, types[i], tensors[i].shape);
    report.weights += static_cast<uint64_t>(tensors[i].rows->rows() * tensors[i].rows->cols());
  }
  RandomTensors random([&](const void* data, size_t bytes) { writer.write(data, bytes); }, pool,
                       options.seed, options.progress, report.bytes_after);
  for (size_t i = 0; i < tensors.size(); ++i) {
    random.write(tensors[i], types[i], deviation_of(tensors[i], config), i);
  }
  writer.finish();
  return report;
}

}  // namespace hadal::format
