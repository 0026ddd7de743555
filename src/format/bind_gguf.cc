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

class GgufBinder {
 public:
  GgufBinder(const ModelConfig& config, TensorTable& table) : c_(config), table_(table) {}

  // suffix: "", or "_shexp" of the shared experts.
  Mlp mlp(const std::string& prefix, const std::string& suffix, int64_t width) {
    return {table_.matrix(prefix + "ffn_gate" + suffix + ".weight", width, c_.hidden_size),
            table_.matrix(prefix + "ffn_up" + suffix + ".weight", width, c_.hidden_size),
            table_.matrix(prefix + "ffn_down" + suffix + ".weight", c_.hidden_size, width)};
  }

  // A matrix that files write as [blocks, rows, cols] or as [blocks * rows, cols]: the same bytes.
  Matrix stacked(const std::string& name, int64_t blocks, int64_t rows, int64_t cols) {
    const Tensor* tensor = table_.find(name);
    if (tensor == nullptr || tensor->rank != 3) return table_.matrix(name, blocks * rows, cols);
    return table_.rows_of(table_.require(name, {blocks, rows, cols}), 0, blocks * rows);
  }

  // The latent's way up: kv_b alone, k_b (transposed) and v_b, or all three.
  void up_projection(const std::string& prefix, Attention& a) {
    const std::string k_b = prefix + "attn_k_b.weight";
    const std::string v_b = prefix + "attn_v_b.weight";
    const std::string kv_b = prefix + "attn_kv_b.weight";
    if (table_.has(kv_b) && !(table_.has(k_b) && table_.has(v_b))) {
      a.kv_b = table_.matrix(kv_b, c_.heads * (c_.qk_nope_dim + c_.v_dim), c_.kv_lora_rank);
      table_.ignore(k_b);
      table_.ignore(v_b);
      return;
    }
    a.k_b = stacked(k_b, c_.heads, c_.kv_lora_rank, c_.qk_nope_dim);
    a.v_b = stacked(v_b, c_.heads, c_.v_dim, c_.kv_lora_rank);
    table_.ignore(kv_b);
  }

  Attention mla(const std::string& prefix) {
    Attention a;
    const int64_t q_rows = c_.heads * (c_.qk_nope_dim + c_.qk_rope_dim);
    if (c_.q_lora_rank > 0) {
      a.q_a = table_.matrix(prefix + "attn_q_a.weight", c_.q_lora_rank, c_.hidden_size);
      a.q_a_norm = table_.floats(prefix + "attn_q_a_norm.weight", c_.q_lora_rank);
      a.q_b = table_.matrix(prefix + "attn_q_b.weight", q_rows, c_.q_lora_rank);
    } else {
      a.q = table_.matrix(prefix + "attn_q.weight", q_rows, c_.hidden_size);
    }
    a.kv_a = table_.matrix(prefix + "attn_kv_a_mqa.weight", c_.kv_lora_rank + c_.qk_rope_dim,
                           c_.hidden_size);
    a.kv_a_norm = table_.floats(prefix + "attn_kv_a_norm.weight", c_.kv_lora_rank);
    up_projection(prefix, a);
    a.o = table_.matrix(prefix + "attn_output.weight", c_.hidden_size, c_.heads * c_.v_dim);
    return a;
  }

  Attention dense_attention(const std::string& prefix) {
    Attention a;
    const int64_t q_rows = c_.heads * c_.head_dim;
    const int64_t kv_rows = c_.kv_heads * c_.head_dim;
    a.q = table_.matrix(prefix + "attn_q.weight", q_rows, c_.hidden_size);
    a.k = table_.matrix(prefix + "attn_k.weight", kv_rows, c_.hidden_size);
    a.v = table_.matrix(prefix + "attn_v.weight", kv_rows, c_.hidden_size);
    a.o = table_.matrix(prefix + "attn_output.weight", c_.hidden_size, q_rows);
    if (c_.attention_bias) {
      a.q_bias = table_.floats(prefix + "attn_q.bias", q_rows);
      a.k_bias = table_.floats(prefix + "attn_k.bias", kv_rows);
      a.v_bias = table_.floats(prefix + "attn_v.bias", kv_rows);
    }
    if (c_.qk_norm) {
      a.q_norm = table_.floats(prefix + "attn_q_norm.weight", c_.head_dim);
      a.k_norm = table_.floats(prefix + "attn_k_norm.weight", c_.head_dim);
    }
    return a;
  }

  Experts experts(const std::string& prefix) {
    Experts e;
    const int64_t width = c_.moe_intermediate_size;
    const int64_t hidden = c_.hidden_size;
    e.router = table_.matrix(prefix + "ffn_gate_inp.weight", c_.experts, hidden);
    const std::string bias = prefix + "exp_probs_b.bias";
    if (table_.has(bias)) e.correction_bias = table_.floats(bias, c_.experts);
    if (c_.shared_experts > 0) e.shared = mlp(prefix, "_shexp", c_.shared_experts * width);
    // By value: require's answer is a reference into the table.
    const Tensor gate =
        table_.require(prefix + "ffn_gate_exps.weight", {c_.experts, width, hidden});
    const Tensor up = table_.require(prefix + "ffn_up_exps.weight", {c_.experts, width, hidden});
    const Tensor down =
        table_.require(prefix + "ffn_down_exps.weight", {c_.experts, hidden, width});
    e.routed.reserve(static_cast<size_t>(c_.experts));
    for (int64_t i = 0; i < c_.experts; ++i)
      e.routed.push_back({table_.rows_of(gate, i * width, width),
                          table_.rows_of(up, i * width, width),
                          table_.rows_of(down, i * hidden, hidden)});
    return e;
  }

  Layer layer(int64_t index, bool moe) {
    const std::string prefix = fmt::format("blk.{}.", index);
    Layer l;
    l.attention_norm = table_.floats(prefix + "attn_norm.weight", c_.hidden_size);
    l.ffn_norm = table_.floats(prefix + "ffn_norm.weight", c_.hidden_size);
    l.attention = c_.is_mla() ? mla(prefix) : dense_attention(prefix);
    if (moe)
      l.experts = experts(prefix);
    else
      l.dense = mlp(prefix, "", c_.intermediate_size);
    return l;
  }

  MtpLayer mtp(int64_t index) {
    const std::string prefix = fmt::format("blk.{}.nextn.", index);
    MtpLayer m;
    m.enorm = table_.floats(prefix + "enorm.weight", c_.hidden_size);
    m.hnorm = table_.floats(prefix + "hnorm.weight", c_.hidden_size);
    m.norm = table_.floats(prefix + "shared_head_norm.weight", c_.hidden_size);
    m.eh_proj = table_.matrix(prefix + "eh_proj.weight", c_.hidden_size, 2 * c_.hidden_size);
    m.layer = layer(index, c_.experts > 0);
    // Copies of the main model's, which is used instead.
    table_.ignore(prefix + "embed_tokens.weight");
    table_.ignore(prefix + "shared_head_head.weight");
    return m;
  }

 private:
  const ModelConfig& c_;
  TensorTable& table_;
};

}  // namespace

std::unique_ptr<model::Model> bind_gguf(const ModelConfig& config, TensorTable& table,
                                        std::vector<std::string>& notes) {
  auto model = std::make_unique<model::Model>();
  model->config = config;
  const ModelConfig& c = model->config;
  GgufBinder binder(c, table);
  model->embedding = table.matrix("token_embd.weight", c.vocab_size, c.hidden_size);
  model->final_norm = table.floats("output_norm.weight", c.hidden_size);
  model->head =
      c.tied_head ? model->embedding : table.matrix("output.weight", c.vocab_size, c.hidden_size);
  for (int64_t i = 0; i < c.layers; ++i)
    model->layers.push_back(binder.layer(i, c.is_moe_layer(i)));
  for (int64_t i = 0; i < c.mtp_layers; ++i) model->mtp.push_back(binder.mtp(c.layers + i));
  if (c.scoring == model::Scoring::softmax && c.experts > 0 &&
      !model->layers.back().experts.correction_bias.empty())
    notes.push_back(
        "the file has V3's correction biases but names no gating function: softmax is assumed");
  table.ignore("rope_freqs.weight");
  table.refuse_unused(c.source);
  model->storage = table.take_copies();
  return model;
}

}  // namespace hadal::format
