#include "train/feed_forward.h"

#include <algorithm>

namespace hadal::train {

void FeedForwardRows::start(const Context& context, int64_t rows, int64_t columns) {
  n = rows;
  width = columns;
  for (OperandRows* kept : {&gate, &up, &hidden}) kept->resize(operand_type(context), n, width);
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

// Products go to memory that this thread has just used: tiles store short pieces of rows far apart,
// which is slow where the lines have to come from afar. What is kept is written row by row.
void FeedForward::forward(const Context& context, const Operand& x, const FeedForwardRows& kept,
                          int64_t first, float* y, bool add) const {
  const int64_t width = kept.width, count = x.rows, hidden = down.rows();
  float* g = thread_floats(2, count * width);
  float* u = thread_floats(3, count * width);
  gate.forward(context, x, g, width);
  up.forward(context, x, u, width);
  kept.gate.set_rows(context, first, count, g);
  kept.up.set_rows(context, first, count, u);
  context.kernels.silu_mul(g, u, count * width, g);
  kept.hidden.set_rows(context, first, count, g);
  float* out = add ? y : thread_floats(4, count * hidden);
  down.forward(context, kept.hidden.rows(first, count), out, hidden, add);
  if (!add) std::copy_n(out, count * hidden, y);
}

// dw_r = dy_r . y_r = (W_down^T dy_r) . h_r: the outputs need not be kept.
void FeedForward::backward(const Context& context, const Operand& dy, const FeedForwardRows& kept,
                           int64_t first, float* dx, const float* weights, float* d_weights) const {
  const int64_t width = kept.width, count = dy.rows, hidden = gate.cols();
  float* dh = thread_floats(2, count * width);
  float* rows = thread_floats(3, 5 * width);
  float *g = rows, *u = g + width, *dg = u + width, *du = dg + width, *h = du + width;
  const kernels::Matrix gates = kept.gate.matrix(), ups = kept.up.matrix();
  down.backward(context, dy, dh, width);
  for (int64_t r = 0; r < count; ++r) {
    const float weight = weights != nullptr ? weights[r] : 1.0f;
    context.kernels.decode_row(&gates, first + r, g);
    context.kernels.decode_row(&ups, first + r, u);
    context.kernels.silu_mul_backward(g, u, dh + r * width, weight, width, dg, du, h);
    kept.d_gate.set(context, first + r, 0, dg, width);
    kept.d_up.set(context, first + r, 0, du, width);
    if (weights == nullptr) continue;  // `hidden` stands since the forward pass
    d_weights[r] = context.kernels.dot(dh + r * width, h, width);
    context.kernels.scale(weight, h, width, h);
    kept.hidden.set(context, first + r, 0, h, width);
  }
  float* out = thread_floats(4, count * hidden);
  gate.backward(context, kept.d_gate.rows(first, count), out, hidden);
  up.backward(context, kept.d_up.rows(first, count), out, hidden, true);
  std::copy_n(out, count * hidden, dx);
}

void FeedForward::name_gradients(const Operand& x, const Operand& dy, const FeedForwardRows& kept,
                                 int64_t first, std::vector<WeightGradient>& out) const {
  out.push_back({&gate.weight(), x, kept.d_gate.rows(first, x.rows)});
  out.push_back({&up.weight(), x, kept.d_up.rows(first, x.rows)});
  out.push_back({&down.weight(), kept.hidden.rows(first, x.rows), dy});
}

}  // namespace hadal::train
