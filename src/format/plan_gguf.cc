// Model -> tensors with the names and layouts that llama.cpp's converter writes: the latent's way
// up as attn_k_b (transposed) and attn_v_b, experts stacked, vectors in F32.
#include "base/error.h"
#include "format/config_write.h"
#include "format/rows.h"

namespace hadal::format {
namespace {

using model::Attention;
using model::Layer;
using model::Matrix;
using model::Mlp;
using model::ModelConfig;

class GgufPlan {
 public:
  explicit GgufPlan(const ModelConfig& config) : c_(config) {}

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
    vector(prefix + "attn_norm.weight", l.attention_norm);
    attention(prefix, l.attention);
    vector(prefix + "ffn_norm.weight", l.ffn_norm);
    if (l.experts.routed.empty()) {
      mlp(prefix, "", l.dense);
      return;
    }
    matrix(prefix + "ffn_gate_inp.weight", l.experts.router);
    vector(prefix + "exp_probs_b.bias", l.experts.correction_bias);
    experts(prefix + "ffn_gate_exps.weight", l.experts.routed, &Mlp::gate);
    experts(prefix + "ffn_up_exps.weight", l.experts.routed, &Mlp::up);
    experts(prefix + "ffn_down_exps.weight", l.experts.routed, &Mlp::down);
    mlp(prefix, "_shexp", l.experts.shared);
  }

  std::vector<PlannedTensor> tensors;

 private:
  void mlp(const std::string& prefix, const std::string& suffix, const Mlp& m) {
    matrix(prefix + "ffn_gate" + suffix + ".weight", m.gate);
    matrix(prefix + "ffn_up" + suffix + ".weight", m.up);
    matrix(prefix + "ffn_down" + suffix + ".weight", m.down);
  }

  void experts(const std::string& name, const std::vector<Mlp>& routed, Matrix Mlp::* part) {
    std::vector<Matrix> parts;
    for (const Mlp& expert : routed) parts.push_back(expert.*part);
    const std::vector<int64_t> shape = {static_cast<int64_t>(parts.size()), parts[0].rows,
                                        parts[0].cols};
    tensors.push_back({name, shape, stacked_rows(std::move(parts))});
  }

  void attention(const std::string& prefix, const Attention& a) {
    const bool to_pairs = c_.architecture == model::Architecture::llama &&
                          c_.rope.layout == model::RopeLayout::halves;
    const RowOrder order = to_pairs ? RowOrder::to_pairs : RowOrder::as_is;
    matrix(prefix + "attn_q.weight", a.q, order);
    vector(prefix + "attn_q.bias", a.q_bias);
    vector(prefix + "attn_q_norm.weight", a.q_norm);
    matrix(prefix + "attn_k.weight", a.k, order);
    vector(prefix + "attn_k.bias", a.k_bias);
    vector(prefix + "attn_k_norm.weight", a.k_norm);
    matrix(prefix + "attn_v.weight", a.v);
    vector(prefix + "attn_v.bias", a.v_bias);
    matrix(prefix + "attn_q_a.weight", a.q_a);
    vector(prefix + "attn_q_a_norm.weight", a.q_a_norm);
    matrix(prefix + "attn_q_b.weight", a.q_b);
    matrix(prefix + "attn_kv_a_mqa.weight", a.kv_a);
    vector(prefix + "attn_kv_a_norm.weight", a.kv_a_norm);
    if (c_.is_mla()) {
      const UpShape up{c_.heads, c_.kv_lora_rank, c_.qk_nope_dim, c_.v_dim};
      tensors.push_back({prefix + "attn_k_b.weight",
                         {up.heads, up.rank, up.nope},
                         a.kv_b.data ? keys_of(a.kv_b, up) : stacked_rows({a.k_b})});
      tensors.push_back({prefix + "attn_v_b.weight",
                         {up.heads, up.value, up.rank},
                         a.kv_b.data ? values_of(a.kv_b, up) : stacked_rows({a.v_b})});
    }
    matrix(prefix + "attn_output.weight", a.o);
  }

  const ModelConfig& c_;
};

}  // namespace

std::vector<PlannedTensor> plan_gguf(const model::Model& model) {
  const ModelConfig& c = model.config;
  GgufPlan plan(c);
  const std::vector<float> factors = rope_factors(c);
  plan.vector("rope_freqs.weight", factors);
  plan.matrix("token_embd.weight", model.embedding);
  for (size_t i = 0; i < model.layers.size(); ++i) {
    plan.layer(fmt::format("blk.{}.", i), model.layers[i]);
  }
  for (size_t i = 0; i < model.mtp.size(); ++i) {
    const model::MtpLayer& mtp = model.mtp[i];
    const std::string prefix = fmt::format("blk.{}.", model.layers.size() + i);
    plan.layer(prefix, mtp.layer);
    plan.matrix(prefix + "nextn.eh_proj.weight", mtp.eh_proj);
    plan.vector(prefix + "nextn.enorm.weight", mtp.enorm);
    plan.vector(prefix + "nextn.hnorm.weight", mtp.hnorm);
    plan.vector(prefix + "nextn.shared_head_norm.weight", mtp.norm);
  }
  plan.vector("output_norm.weight", model.final_norm);
  if (!c.tied_head) plan.matrix("output.weight", model.head);
  return std::move(plan.tensors);
}

}  // namespace hadal::format
