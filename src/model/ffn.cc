#include "model/ffn.h"

namespace hadal::model {

void Ffn::forward(const Context& context, const Mlp& w, Input& x, int64_t n, float* y) {
  const int64_t width = w.gate.rows;
  float* gate = gate_.get(n * width);
  float* up = up_.get(n * width);
  const kernels::Matmul in[] = {x.product(w.gate, gate, width), x.product(w.up, up, width)};
  run(context, in);
  context.pool.parallel_for(n, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      context.kernels.silu_mul(gate + r * width, up + r * width, width, gate + r * width);
  });
  hidden_.set(context, gate, width, n, width);
  const kernels::Matmul out[] = {hidden_.product(w.down, y, w.down.rows)};
  run(context, out);
}

}  // namespace hadal::model
