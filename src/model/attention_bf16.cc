#include "model/attention_bf16.h"

#include <algorithm>
#include <limits>
#include <numbers>

#include "kernels/attend.h"

namespace hadal::model {

bool attends_bf16(const Context& context, const KvCache& cache) {
  return context.precision == Precision::native && cache.type() != quant::Type::F32;
}

Bf16Walk::Bf16Walk(const Context& context, const Queries& queries, uint16_t* packed)
    : kernels_(&context.kernels), packed_(packed), queries_(queries) {}

void Bf16Walk::pack() {
  kernels_->pack_queries(queries_.q, queries_.q_stride, queries_.count, queries_.width, packed_);
}

void Bf16Walk::start() {
  for (int64_t i = 0; i < queries_.count; ++i) {
    queries_.state[2 * i] = -std::numeric_limits<float>::infinity();
    queries_.state[2 * i + 1] = 0.0f;
    std::fill_n(queries_.o + i * queries_.o_stride, queries_.o_width, 0.0f);
  }
}

void Bf16Walk::attend_page(const kernels::Rows& keys, const kernels::Rows& values,
                           int64_t page_first, std::span<const std::byte> follow, Buffer& scratch) {
  const Queries& q = queries_;
  kernels_->attend({.q = packed_,
                    .queries = q.count,
                    .per_position = q.per_position,
                    .seen = q.first_position + 1 - page_first,
                    .keys = static_cast<const uint16_t*>(keys.data),
                    .key_stride = keys.stride,
                    .width = q.width,
                    .values = static_cast<const uint16_t*>(values.data),
                    .value_stride = values.stride,
                    .value_width = q.o_width,
                    .positions = keys.count,
                    .scale = static_cast<float>(q.scale * std::numbers::log2e),
                    .state = q.state,
                    .o = q.o,
                    .o_stride = q.o_stride,
                    .scratch = scratch.bytes(kernels::attend_scratch_bytes(q.width, q.o_width)),
                    .follow = follow.data(),
                    .follow_bytes = static_cast<int64_t>(follow.size())});
}

void Bf16Walk::finish(float* out, int64_t stride) const {
  for (int64_t i = 0; i < queries_.count; ++i) {
    const float inverse = 1.0f / queries_.state[2 * i + 1];
    const float* o = queries_.o + i * queries_.o_stride;
    for (int64_t c = 0; c < queries_.o_width; ++c) out[i * stride + c] = o[c] * inverse;
  }
}

void merge_bf16(const float* next_state, const float* next_o, int64_t width, float* state,
                float* o) {
  const float max = std::max(state[0], next_state[0]);
  const float a = kernels::attend_weight(state[0] - max);
  const float b = kernels::attend_weight(next_state[0] - max);
  for (int64_t c = 0; c < width; ++c) o[c] = o[c] * a + next_o[c] * b;
  state[0] = max;
  state[1] = state[1] * a + next_state[1] * b;
}

}  // namespace hadal::model
