#include "train/feed_forward.h"

#include <algorithm>

#include "kernels/exp.h"
#include "train/profile.h"

namespace hadal::train {

void silu_mul_backward(const float* g, const float* u, const float* dh, int64_t n, float* dg,
                       float* du) {
  for (int64_t i = 0; i < n; ++i) {
    const float sigmoid = 1.0f / (1.0f + kernels::exp_f32(-g[i]));
    const float silu = g[i] * sigmoid;
    du[i] = dh[i] * silu;
    dg[i] = dh[i] * u[i] * (sigmoid + silu * (1.0f - sigmoid));
  }
}

void FeedForward::load(const Context& context, const model::Mlp& weights) {
  gate.load(context, weights.gate);
  up.load(context, weights.up);
  down.load(context, weights.down);
}

void FeedForward::refresh(const Context& context) {
  for (Linear* linear : {&gate, &up, &down}) linear->refresh(context);
}

void FeedForward::forward(const Context& context, const float* x, int64_t n, float* y) {
  const int64_t width = gate.rows();
  gate_ = gate_buffer_.get(n * width);
  up_ = up_buffer_.get(n * width);
  hidden_ = hidden_buffer_.get(n * width);
  Input input;
  input.set(context, x, gate.cols(), n, gate.cols());
  const kernels::Matmul in[] = {gate.forward(input, 0, n, gate_), up.forward(input, 0, n, up_)};
  model::run(context, in);
  context.pool.parallel_for(n, 16, [&](int64_t begin, int64_t end, int) {
    context.kernels.silu_mul(gate_ + begin * width, up_ + begin * width, (end - begin) * width,
                             hidden_ + begin * width);
  });
  down.forward(context, hidden_, n, y);
}

void FeedForward::backward(const Context& context, const float* x, const float* dy, int64_t n,
                           float* dx) {
  const int64_t width = gate.rows(), hidden = gate.cols();
  float* dh = d_hidden_buffer_.get(n * width);
  float* dg = d_gate_buffer_.get(n * width);
  float* du = d_up_buffer_.get(n * width);
  down.backward(context, hidden_, dy, n, dh);
  context.pool.parallel_for(n, 16, [&](int64_t begin, int64_t end, int) {
    const int64_t at = begin * width;
    silu_mul_backward(gate_ + at, up_ + at, dh + at, (end - begin) * width, dg + at, du + at);
  });
  float* more = dx_buffer_.get(n * hidden);
  Input d_gate, d_up;
  d_gate.set(context, dg, width, n, width);
  d_up.set(context, du, width, n, width);
  const kernels::Matmul back[] = {gate.backward(d_gate, 0, n, dx), up.backward(d_up, 0, n, more)};
  model::run(context, back);
  context.pool.parallel_for(n, 16, [&](int64_t begin, int64_t end, int) {
    context.kernels.add_scaled(1.0f, more + begin * hidden, (end - begin) * hidden,
                               dx + begin * hidden);
  });
  const WeightGradient gradients[] = {{&gate.weight(), x, dg, n}, {&up.weight(), x, du, n}};
  accumulate_gradients(context, gradients);
}

}  // namespace hadal::train
