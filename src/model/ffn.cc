#include "model/ffn.h"

#include <algorithm>

namespace hadal::model {
namespace {

// Rows that go through at a time: bounds the buffers (38 MB for V3's width of 18,432), and is many
// enough that reading the weights again costs nothing beside the arithmetic.
constexpr int64_t panel_rows = 256;

}  // namespace

void Ffn::forward(const Context& context, const Mlp& w, Input& x, int64_t n, float* y) {
  const int64_t width = w.gate.rows;
  const int64_t hidden = w.down.rows;
  float* gate = gate_.get(std::min(n, panel_rows) * width);
  float* up = up_.get(std::min(n, panel_rows) * width);
  for (int64_t first = 0; first < n; first += panel_rows) {
    const int64_t rows = std::min(panel_rows, n - first);
    const kernels::Matmul in[] = {x.product(w.gate, 0, width, first, rows, gate, width),
                                  x.product(w.up, 0, width, first, rows, up, width)};
    run(context, in);
    context.pool.parallel_for(rows, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t r = begin; r < end; ++r)
        context.kernels.silu_mul(gate + r * width, up + r * width, width, gate + r * width);
    });
    hidden_.set(context, gate, width, rows, width);
    const kernels::Matmul out[] = {hidden_.product(w.down, y + first * hidden, hidden)};
    run(context, out);
  }
}

}  // namespace hadal::model
