#include "base/error.h"
#include "format/bind.h"

namespace hadal::format {
namespace {

using model::Attention;
using model::Experts;
using model::Layer;
using model::Matrix;
using model::Mlp;
using model::ModelConfig;
using model::MtpLayer;

constexpr int64_t tile = 128;  // FP8 weights have one scale per tile x tile

class HfBinder {
 public:
  HfBinder(const ModelConfig& config, TensorTable& table) : c_(config), table_(table) {}

  // NAME.weight [rows, cols], with its scales if it is FP8.
  Matrix linear(const std::string& name, int64_t rows, int64_t cols) {
    const std::string weight = name + ".weight";
    Matrix matrix = table_.matrix(weight, rows, cols);
    if (matrix.type != quant::Type::FP8_E4M3) return matrix;
    const std::string scales_name = weight + "_scale_inv";
    const int64_t scale_rows = (rows + tile - 1) / tile;
    const int64_t scale_cols = (cols + tile - 1) / tile;
    const Tensor& scales = table_.require(scales_name, {scale_rows, scale_cols});
    std::vector<float> values = table_.decode_floats(scales);  // finite, or an error
    const auto address = reinterpret_cast<uintptr_t>(scales.data.data());
    const bool usable = *scales.type == quant::Type::F32 && address % alignof(float) == 0;
    matrix.scales = usable ? reinterpret_cast<const float*>(scales.data.data())
                           : table_.keep(std::move(values));
    matrix.scale_stride = scale_cols;
    return matrix;
  }

  Mlp mlp(const std::string& prefix, int64_t width) {
    return {linear(prefix + "gate_proj", width, c_.hidden_size),
            linear(prefix + "up_proj", width, c_.hidden_size),
            linear(prefix + "down_proj", c_.hidden_size, width)};
  }

  Attention mla(const std::string& prefix) {
    Attention a;
    const int64_t q_rows = c_.heads * (c_.qk_nope_dim + c_.qk_rope_dim);
    if (c_.q_lora_rank > 0) {
      a.q_a = linear(prefix + "q_a_proj", c_.q_lora_rank, c_.hidden_size);
      a.q_a_norm = table_.floats(prefix + "q_a_layernorm.weight", c_.q_lora_rank);
      a.q_b = linear(prefix + "q_b_proj", q_rows, c_.q_lora_rank);
    } else {
      a.q = linear(prefix + "q_proj", q_rows, c_.hidden_size);
    }
    a.kv_a =
        linear(prefix + "kv_a_proj_with_mqa", c_.kv_lora_rank + c_.qk_rope_dim, c_.hidden_size);
    a.kv_a_norm = table_.floats(prefix + "kv_a_layernorm.weight", c_.kv_lora_rank);
    a.kv_b = linear(prefix + "kv_b_proj", c_.heads * (c_.qk_nope_dim + c_.v_dim), c_.kv_lora_rank);
    a.o = linear(prefix + "o_proj", c_.hidden_size, c_.heads * c_.v_dim);
    return a;
  }

  Attention dense_attention(const std::string& prefix) {
    Attention a;
    const int64_t q_rows = c_.heads * c_.head_dim;
    const int64_t kv_rows = c_.kv_heads * c_.head_dim;
    a.q = linear(prefix + "q_proj", q_rows, c_.hidden_size);
    a.k = linear(prefix + "k_proj", kv_rows, c_.hidden_size);
    a.v = linear(prefix + "v_proj", kv_rows, c_.hidden_size);
    a.o = linear(prefix + "o_proj", c_.hidden_size, q_rows);
    if (c_.attention_bias) {
      a.q_bias = table_.floats(prefix + "q_proj.bias", q_rows);
      a.k_bias = table_.floats(prefix + "k_proj.bias", kv_rows);
      a.v_bias = table_.floats(prefix + "v_proj.bias", kv_rows);
    }
    if (c_.qk_norm) {
      a.q_norm = table_.floats(prefix + "q_norm.weight", c_.head_dim);
      a.k_norm = table_.floats(prefix + "k_norm.weight", c_.head_dim);
    }
    table_.ignore(prefix + "rotary_emb.inv_freq");
    return a;
  }

  Experts experts(const std::string& prefix) {
    Experts e;
    e.router = table_.matrix(prefix + "gate.weight", c_.experts, c_.hidden_size);
    const std::string bias = prefix + "gate.e_score_correction_bias";
    // Only noaux_tc (V3) has one, and it always does.
    if (c_.scoring == model::Scoring::sigmoid || table_.has(bias))
      e.correction_bias = table_.floats(bias, c_.experts);
    if (c_.shared_experts > 0)
      e.shared = mlp(prefix + "shared_experts.", c_.shared_experts * c_.moe_intermediate_size);
    for (int64_t i = 0; i < c_.experts; ++i)
      e.routed.push_back(mlp(fmt::format("{}experts.{}.", prefix, i), c_.moe_intermediate_size));
    return e;
  }

  Layer layer(int64_t index, bool moe) {
    const std::string prefix = fmt::format("model.layers.{}.", index);
    Layer l;
    l.attention_norm = table_.floats(prefix + "input_layernorm.weight", c_.hidden_size);
    l.ffn_norm = table_.floats(prefix + "post_attention_layernorm.weight", c_.hidden_size);
    l.attention = c_.is_mla() ? mla(prefix + "self_attn.") : dense_attention(prefix + "self_attn.");
    if (moe)
      l.experts = experts(prefix + "mlp.");
    else
      l.dense = mlp(prefix + "mlp.", c_.intermediate_size);
    return l;
  }

  MtpLayer mtp(int64_t index) {
    const std::string prefix = fmt::format("model.layers.{}.", index);
    MtpLayer m;
    m.enorm = table_.floats(prefix + "enorm.weight", c_.hidden_size);
    m.hnorm = table_.floats(prefix + "hnorm.weight", c_.hidden_size);
    m.norm = table_.floats(prefix + "shared_head.norm.weight", c_.hidden_size);
    m.eh_proj = linear(prefix + "eh_proj", c_.hidden_size, 2 * c_.hidden_size);
    m.layer = layer(index, c_.experts > 0);
    // Copies of the main model's, which is used instead.
    table_.ignore(prefix + "embed_tokens.weight");
    table_.ignore(prefix + "shared_head.head.weight");
    return m;
  }

 private:
  const ModelConfig& c_;
  TensorTable& table_;
};

// A V3.2 folder is recognised by its tensors too, whatever its config says.
void refuse_indexer(const TensorTable& table) {
  for (const Tensor& tensor : table.tensors())
    if (tensor.name.find(".indexer.") != std::string_view::npos)
      fail(ErrorKind::unsupported,
           "{}: tensor {} belongs to DeepSeek-V3.2's lightning indexer; Hadal cannot run it yet",
           tensor.file, tensor.name);
}

}  // namespace

std::unique_ptr<model::Model> bind_hf(const ModelConfig& config, TensorTable& table,
                                      std::vector<std::string>& notes) {
  refuse_indexer(table);
  auto model = std::make_unique<model::Model>();
  model->config = config;
  ModelConfig& c = model->config;
  HfBinder binder(c, table);
  model->embedding = table.matrix("model.embed_tokens.weight", c.vocab_size, c.hidden_size);
  model->final_norm = table.floats("model.norm.weight", c.hidden_size);
  if (c.tied_head) {
    model->head = model->embedding;
    table.ignore("lm_head.weight");
  } else {
    model->head = table.matrix("lm_head.weight", c.vocab_size, c.hidden_size);
  }
  for (int64_t i = 0; i < c.layers; ++i)
    model->layers.push_back(binder.layer(i, c.is_moe_layer(i)));
  const int64_t mtp_wanted = c.mtp_layers;
  for (c.mtp_layers = 0; c.mtp_layers < mtp_wanted; ++c.mtp_layers) {
    const int64_t index = c.layers + c.mtp_layers;
    if (!table.has(fmt::format("model.layers.{}.eh_proj.weight", index))) break;
    model->mtp.push_back(binder.mtp(index));
  }
  if (c.mtp_layers < mtp_wanted)
    notes.push_back(fmt::format("the configuration has {} MTP layers, the files hold {}",
                                mtp_wanted, c.mtp_layers));
  table.refuse_unused(c.source);
  model->storage = table.take_copies();
  return model;
}

}  // namespace hadal::format
