#include "model/packing.h"

#include <algorithm>

namespace hadal::model {
namespace {

using kernels::Matmul;

constexpr int64_t group_rows = 16;

}  // namespace

bool Packing::same_input(const Matmul& a, const Matmul& b) {
  return a.x == b.x && a.x_stride == b.x_stride && a.n == b.n && a.activation == b.activation &&
         a.w->cols == b.w->cols;
}

void Packing::pack(const Context& context, std::span<const Matmul> products) {
  inputs_.clear();
  of_.clear();
  int64_t bytes = 0, groups = 0;
  for (const Matmul& product : products) {
    const int64_t cols = product.w->cols;
    const auto packed_bytes = [&](int64_t n) {
      return context.kernels.packed_bytes(product.w->type, product.activation, cols, n);
    };
    const int64_t size = packed_bytes(product.n);
    if (size == 0) {
      of_.push_back(-1);
      continue;
    }
    if (inputs_.empty() || !same_input(*inputs_.back().source, product)) {
      const int64_t count = (product.n + group_rows - 1) / group_rows;
      inputs_.push_back({&product, bytes, size / count, groups});
      bytes += size;
      groups += count;
    }
    of_.push_back(static_cast<int>(inputs_.size()) - 1);
  }
  data_ = storage_.bytes(bytes);
  context.pool.parallel_for(groups, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t group = begin; group < end; ++group) {
      const auto after = std::upper_bound(
          inputs_.begin(), inputs_.end(), group,
          [](int64_t value, const Packed& input) { return value < input.first_group; });
      const Packed& input = *(after - 1);
      const Matmul& m = *input.source;
      const int64_t first = (group - input.first_group) * group_rows;
      context.kernels.pack(m.activation, static_cast<const std::byte*>(m.x) + first * m.x_stride,
                           m.x_stride, std::min(group_rows, m.n - first), m.w->cols,
                           data_ + input.offset + (group - input.first_group) * input.group_bytes);
    }
  });
}

}  // namespace hadal::model
