#include "format/synth_parts.h"

#include <algorithm>

#include "base/random.h"
#include "quant/format.h"
#include "quant/random_blocks.h"

namespace hadal::format {
namespace {

using model::Matrix;
using model::ModelConfig;
using quant::Type;

model::Mlp mlp_of(const ModelConfig& c, int64_t width) {
  return {shape_of(width, c.hidden_size), shape_of(width, c.hidden_size),
          shape_of(c.hidden_size, width)};
}

std::vector<float> ones(int64_t n) {
  return std::vector<float>(static_cast<size_t>(n), 1.0f);
}

model::Layer layer_of(const ModelConfig& c, int64_t index) {
  model::Layer l;
  l.attention_norm = l.ffn_norm = ones(c.hidden_size);
  model::Attention& a = l.attention;
  const int64_t q_rows = c.heads * (c.qk_nope_dim + c.qk_rope_dim);
  if (c.q_lora_rank > 0) {
    a.q_a = shape_of(c.q_lora_rank, c.hidden_size);
    a.q_a_norm = ones(c.q_lora_rank);
    a.q_b = shape_of(q_rows, c.q_lora_rank);
  } else {
    a.q = shape_of(q_rows, c.hidden_size);
  }
  a.kv_a = shape_of(c.kv_lora_rank + c.qk_rope_dim, c.hidden_size);
  a.kv_a_norm = ones(c.kv_lora_rank);
  a.k_b = shape_of(c.heads * c.kv_lora_rank, c.qk_nope_dim);
  a.v_b = shape_of(c.heads * c.v_dim, c.kv_lora_rank);
  a.o = shape_of(c.hidden_size, c.heads * c.v_dim);
  if (!c.is_moe_layer(index)) {
    l.dense = mlp_of(c, c.intermediate_size);
    return l;
  }
  l.experts.router = shape_of(c.experts, c.hidden_size);
  if (c.scoring == model::Scoring::sigmoid) {
    l.experts.correction_bias.assign(static_cast<size_t>(c.experts), 0.0f);
  }
  l.experts.routed.assign(static_cast<size_t>(c.experts), mlp_of(c, c.moe_intermediate_size));
  if (c.shared_experts > 0)
    l.experts.shared = mlp_of(c, c.shared_experts * c.moe_intermediate_size);
  return l;
}

}  // namespace

Matrix shape_of(int64_t rows, int64_t cols) {
  static constexpr char no_weights = 0;  // what matrices without content point to
  return {Type::BF16, &no_weights, rows, cols, 2 * cols, nullptr, 0};
}

model::Model skeleton(const ModelConfig& c) {
  model::Model model;
  model.config = c;
  model.embedding = shape_of(c.vocab_size, c.hidden_size);
  model.head = model.embedding;
  model.final_norm = ones(c.hidden_size);
  for (int64_t i = 0; i < c.layers; ++i) model.layers.push_back(layer_of(c, i));
  return model;
}

void RandomTensors::write(const PlannedTensor& tensor, Type type, float deviation, uint64_t index) {
  constexpr size_t batch_bytes = size_t{16} << 20, item_bytes = size_t{1} << 16;
  const Rows& rows = *tensor.rows;
  const size_t row_bytes = quant::row_bytes(type, rows.cols());
  const auto batch = static_cast<int64_t>(std::max<size_t>(1, batch_bytes / row_bytes));
  const auto grain = static_cast<int64_t>(std::max<size_t>(1, item_bytes / row_bytes));
  const bool holds_values = rows.type() == Type::F32;
  for (int64_t first = 0; first < rows.rows(); first += batch) {
    const int64_t count = std::min(batch, rows.rows() - first);
    buffer_.resize(static_cast<size_t>(count) * row_bytes);
    pool_.parallel_for(count, grain, [&](int64_t begin, int64_t end, int) {
      for (int64_t r = begin; r < end; ++r) {
        std::byte* out = buffer_.data() + static_cast<size_t>(r) * row_bytes;
        if (holds_values) {
          rows.decode(first + r, 1, reinterpret_cast<float*>(out));
        } else {
          const auto key = philox(seed_, index, static_cast<uint64_t>(first + r));
          const uint64_t row_seed = uint64_t{key[0]} << 32 | key[1];
          quant::random_row(type, deviation, row_seed, out, rows.cols());
        }
      }
    });
    sink_(buffer_.data(), buffer_.size());
    done_ += buffer_.size();
    if (progress_) progress_(done_, total_);
  }
}

}  // namespace hadal::format
