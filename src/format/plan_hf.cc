// Model -> tensors in the form that DeepSeek, Qwen and Llama models are published in.
#include <algorithm>

#include "base/error.h"
#include "format/rows.h"

namespace hadal::format {
namespace {

using model::Attention;
using model::Layer;
using model::Matrix;
using model::Mlp;
using model::ModelConfig;

class HfPlan {
 public:
  explicit HfPlan(const ModelConfig& config) : c_(config) {}

  void vector(const std::string& name, const std::vector<float>& values) {
    if (values.empty()) return;
    const auto n = static_cast<int64_t>(values.size());
    tensors.push_back({name, {n}, float_rows(values, n)});
  }

  void matrix(const std::string& name, const Matrix& m, RowOrder order = RowOrder::as_is) {
    if (!m.data) return;
    tensors.push_back(
        {name, {m.rows, m.cols}, stacked_rows({m}, order, c_.is_mla() ? 0 : c_.head_dim)});
  }

  void layer(const std::string& prefix, const Layer& l) {
    vector(prefix + "input_layernorm.weight", l.attention_norm);
    attention(prefix + "self_attn.", l.attention);
    vector(prefix + "post_attention_layernorm.weight", l.ffn_norm);
    if (l.experts.routed.empty()) {
      mlp(prefix + "mlp.", l.dense);
      return;
    }
    matrix(prefix + "mlp.gate.weight", l.experts.router);
    vector(prefix + "mlp.gate.e_score_correction_bias", l.experts.correction_bias);
    for (size_t i = 0; i < l.experts.routed.size(); ++i) {
      mlp(fmt::format("{}mlp.experts.{}.", prefix, i), l.experts.routed[i]);
    }
    mlp(prefix + "mlp.shared_experts.", l.experts.shared);
  }

  std::vector<PlannedTensor> tensors;

 private:
  void mlp(const std::string& prefix, const Mlp& m) {
    matrix(prefix + "gate_proj.weight", m.gate);
    matrix(prefix + "up_proj.weight", m.up);
    matrix(prefix + "down_proj.weight", m.down);
  }

  void attention(const std::string& prefix, const Attention& a) {
    const bool to_halves = c_.architecture == model::Architecture::llama &&
                           c_.rope.layout == model::RopeLayout::interleaved;
    const RowOrder order = to_halves ? RowOrder::to_halves : RowOrder::as_is;
    matrix(prefix + "q_proj.weight", a.q, order);
    vector(prefix + "q_proj.bias", a.q_bias);
    vector(prefix + "q_norm.weight", a.q_norm);
    matrix(prefix + "k_proj.weight", a.k, order);
    vector(prefix + "k_proj.bias", a.k_bias);
    vector(prefix + "k_norm.weight", a.k_norm);
    matrix(prefix + "v_proj.weight", a.v);
    vector(prefix + "v_proj.bias", a.v_bias);
    matrix(prefix + "q_a_proj.weight", a.q_a);
    vector(prefix + "q_a_layernorm.weight", a.q_a_norm);
    matrix(prefix + "q_b_proj.weight", a.q_b);
    matrix(prefix + "kv_a_proj_with_mqa.weight", a.kv_a);
    vector(prefix + "kv_a_layernorm.weight", a.kv_a_norm);
    if (c_.is_mla()) {
      const UpShape up{c_.heads, c_.kv_lora_rank, c_.qk_nope_dim, c_.v_dim};
      tensors.push_back({prefix + "kv_b_proj.weight",
                         {up.heads * (up.nope + up.value), up.rank},
                         a.kv_b.data ? stacked_rows({a.kv_b}) : joined_up(a.k_b, a.v_b, up)});
    }
    matrix(prefix + "o_proj.weight", a.o);
  }

  const ModelConfig& c_;
};

}  // namespace

std::vector<PlannedTensor> plan_hf(const model::Model& model) {
  HfPlan plan(model.config);
  plan.matrix("model.embed_tokens.weight", model.embedding);
  for (size_t i = 0; i < model.layers.size(); ++i) {
    plan.layer(fmt::format("model.layers.{}.", i), model.layers[i]);
  }
  for (size_t i = 0; i < model.mtp.size(); ++i) {
    const model::MtpLayer& mtp = model.mtp[i];
    const std::string prefix = fmt::format("model.layers.{}.", model.layers.size() + i);
    // The published files repeat the embedding and the head in an MTP layer.
    plan.matrix(prefix + "embed_tokens.weight", model.embedding);
    plan.layer(prefix, mtp.layer);
    plan.matrix(prefix + "eh_proj.weight", mtp.eh_proj);
    plan.vector(prefix + "enorm.weight", mtp.enorm);
    plan.vector(prefix + "hnorm.weight", mtp.hnorm);
    plan.vector(prefix + "shared_head.norm.weight", mtp.norm);
    plan.matrix(prefix + "shared_head.head.weight", model.head);
  }
  plan.vector("model.norm.weight", model.final_norm);
  if (!model.config.tied_head) plan.matrix("lm_head.weight", model.head);
  return std::move(plan.tensors);
}

}  // namespace hadal::format
