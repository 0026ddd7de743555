#include "eval/traffic.h"

#include <algorithm>

namespace hadal::eval {
namespace {

using model::Matrix;

double bytes_of(const Matrix& w) {
  if (w.data == nullptr) return 0.0;
  double bytes = static_cast<double>(w.rows) * static_cast<double>(w.row_bytes);
  if (w.scales != nullptr) {
    const int64_t scales = (w.rows + 127) / 128 * w.scale_stride;
    bytes += static_cast<double>(scales) * sizeof(float);
  }
  return bytes;
}

double parameters_of(const Matrix& w) {
  return w.data == nullptr ? 0.0 : static_cast<double>(w.rows) * static_cast<double>(w.cols);
}

void add(Traffic& traffic, const Matrix& w, double rows) {
  traffic.bytes += bytes_of(w);
  traffic.operations += 2.0 * rows * parameters_of(w);
}

void add(Traffic& traffic, const model::Mlp& mlp, double rows) {
  add(traffic, mlp.gate, rows);
  add(traffic, mlp.up, rows);
  add(traffic, mlp.down, rows);
}

// Operations of the attention core, per query and key.
double operations_per_pair(const model::ModelConfig& c, bool absorbed) {
  if (!c.is_mla()) return 2.0 * static_cast<double>(c.heads * 2 * c.head_dim);
  const int64_t width =
      absorbed ? 2 * c.kv_lora_rank + c.qk_rope_dim : c.qk_nope_dim + c.qk_rope_dim + c.v_dim;
  return 2.0 * static_cast<double>(c.heads * width);
}

}  // namespace

Traffic step_traffic(const model::Model& model, int64_t rows, int64_t logits_rows, double depth,
                     std::span<const int64_t> distinct_experts, bool absorbed,
                     int64_t entry_bytes) {
  const model::ModelConfig& c = model.config;
  const auto n = static_cast<double>(rows);
  Traffic traffic;
  for (size_t i = 0; i < model.layers.size(); ++i) {
    const model::Layer& layer = model.layers[i];
    const model::Attention& a = layer.attention;
    for (const Matrix* w :
         {&a.q, &a.q_a, &a.q_b, &a.kv_a, &a.kv_b, &a.k_b, &a.v_b, &a.o, &a.k, &a.v})
      add(traffic, *w, n);
    traffic.operations += n * depth * operations_per_pair(c, absorbed);
    add(traffic, layer.dense, n);
    const model::Experts& experts = layer.experts;
    if (experts.routed.empty()) continue;
    add(traffic, experts.router, n);
    add(traffic, experts.shared, n);
    const model::Mlp& one = experts.routed.front();
    const double expert_bytes = bytes_of(one.gate) + bytes_of(one.up) + bytes_of(one.down);
    const double expert_size =
        parameters_of(one.gate) + parameters_of(one.up) + parameters_of(one.down);
    traffic.bytes += expert_bytes * static_cast<double>(distinct_experts[i]);
    traffic.operations += 2.0 * n * static_cast<double>(c.experts_per_token) * expert_size;
  }
  traffic.bytes += bytes_of(model.head);
  traffic.operations += 2.0 * static_cast<double>(logits_rows) * parameters_of(model.head);
  // Each query reads the cache of its own sequence once.
  traffic.bytes +=
      n * depth * static_cast<double>(entry_bytes * static_cast<int64_t>(model.layers.size()));
  return traffic;
}

}  // namespace hadal::eval
