#include "train/feed_forward.h"

namespace hadal::train {

void FeedForwardRows::start(const Context& context, int64_t rows, int64_t columns) {
  n = rows;
  width = columns;
  gate = gate_buffer_.get(n * width);
  up = up_buffer_.get(n * width);
  hidden.resize(operand_type(context), n, width);
}

void FeedForwardRows::start_backward(const Context& context) {
  d_gate.resize(operand_type(context), n, width);
  d_up.resize(operand_type(context), n, width);
}

void FeedForward::load(const Context& context, const model::Mlp& weights) {
  gate.load(context, weights.gate);
  up.load(context, weights.up);
  down.load(context, weights.down);
}

void FeedForward::refresh(const Context& context) {
  for (Linear* linear : {&gate, &up, &down}) linear->refresh(context);
}

void FeedForward::forward(const Context& context, const Operand& x, const FeedForwardRows& kept,
                          int64_t first, float* y, bool add) const {
  const int64_t width = kept.width, count = x.rows;
  float* g = kept.gate + first * width;
  float* u = kept.up + first * width;
  float* h = thread_floats(2, count * width);
  gate.forward(context, x, g, width);
  up.forward(context, x, u, width);
  context.kernels.silu_mul(g, u, count * width, h);
  kept.hidden.set_rows(context, first, count, h);
  down.forward(context, kept.hidden.rows(first, count), y, down.rows(), add);
}

// dw_r = dy_r . y_r = (W_down^T dy_r) . h_r: the outputs need not be kept.
void FeedForward::backward(const Context& context, const Operand& dy, const FeedForwardRows& kept,
                           int64_t first, float* dx, const float* weights, float* d_weights) const {
  const int64_t width = kept.width, count = dy.rows;
  float* dh = thread_floats(2, count * width);
  float* dg = thread_floats(3, width);
  float* du = thread_floats(4, width);
  float* h = thread_floats(5, width);
  down.backward(context, dy, dh, width);
  for (int64_t r = 0; r < count; ++r) {
    const int64_t at = (first + r) * width;
    const float weight = weights != nullptr ? weights[r] : 1.0f;
    context.kernels.silu_mul_backward(kept.gate + at, kept.up + at, dh + r * width, weight, width,
                                      dg, du, h);
    kept.d_gate.set(context, first + r, 0, dg, width);
    kept.d_up.set(context, first + r, 0, du, width);
    if (weights == nullptr) continue;  // `hidden` stands since the forward pass
    d_weights[r] = context.kernels.dot(dh + r * width, h, width);
    context.kernels.scale(weight, h, width, h);
    kept.hidden.set(context, first + r, 0, h, width);
  }
  gate.backward(context, kept.d_gate.rows(first, count), dx, gate.cols());
  up.backward(context, kept.d_up.rows(first, count), dx, gate.cols(), true);
}

void FeedForward::name_gradients(const Operand& x, const Operand& dy, const FeedForwardRows& kept,
                                 int64_t first, std::vector<WeightGradient>& out) const {
  out.push_back({&gate.weight(), x, kept.d_gate.rows(first, x.rows)});
  out.push_back({&up.weight(), x, kept.d_up.rows(first, x.rows)});
  out.push_back({&down.weight(), kept.hidden.rows(first, x.rows), dy});
}

}  // namespace hadal::train
