// SwiGLU feed-forward: W_down (silu(W_gate x) * W_up x).
#pragma once

#include "model/buffer.h"
#include "model/linear.h"

namespace hadal::model {

class Ffn {
 public:
  // x: the normalised input; y [n, hidden].
  void forward(const Context& context, const Mlp& w, Input& x, int64_t n, float* y);

 private:
  Buffer gate_, up_;
  Input hidden_;
};

}  // namespace hadal::model
