// The orthogonal factor of a matrix, nearly, by five polynomials: what Muon moves weights by
// (Jordan et al., 2024; arXiv 2502.16982).
#pragma once

#include <cstdint>
#include <vector>

#include "train/linear.h"

namespace hadal::train {

// Working memory of one thread.
class NewtonSchulz {
 public:
  // Replaces x [rows, cols] by an approximation of U V^T from its singular value decomposition:
  // x / max(norm, 1e-7), then five times X = a X + (b A + c A^2) X with A = X X^T; the products'
  // operands in the context's format. One thread, whatever the context's pool.
  void run(const Context& context, int64_t rows, int64_t cols, float* x);

 private:
  kernels::Matrix operand(const Context& context, const float* x, int64_t rows, int64_t cols,
                          Buffer& storage);
  ThreadPool alone_{1};
  model::Input input_;
  Buffer x_, products_, squares_, matrix_, transposed_;
};

}  // namespace hadal::train
