// dW = dy^T x. Panels of every x are packed first; then a task transposes some columns of dy, 512
// rows at a time, and adds their product with those rows of x to the gradient.
#include <algorithm>
#include <vector>

#include "train/linear.h"
#include "train/profile.h"

namespace hadal::train {
namespace {

constexpr int64_t k_block = 512;    // of rows that are summed together
constexpr int64_t row_block = 128;  // of the gradient: what a task adds to

struct PackedInput {
  const Operand* x;
  std::byte* data;
  int64_t stride;      // bytes
  int64_t first_task;  // of packing: blocks of rows
};

struct Task {
  const WeightGradient* gradient;
  const PackedInput* input;
  int64_t first, count;  // rows of the gradient
};

int64_t blocks(int64_t n, int64_t block) {
  return (n + block - 1) / block;
}

void add_product(const Context& context, const Task& task) {
  const Operand& dy = task.gradient->dy;
  const int64_t cols = task.gradient->x.cols, size = operand_bytes(dy.type);
  Operand a = {dy.type, thread_floats(0, task.count * k_block), k_block, task.count, 0};
  for (int64_t k = 0; k < dy.rows; k += k_block) {
    a.cols = std::min(k_block, dy.rows - k);
    const auto* from = static_cast<const std::byte*>(dy.data) + (k * dy.stride + task.first) * size;
    context.kernels.transpose(
        {{dy.type, from, dy.stride, a.cols, task.count}, const_cast<void*>(a.data), k_block});
    context.kernels.product({a, task.input->data + kernels::panel_bytes(dy.type, k),
                             task.input->stride, cols,
                             task.gradient->weight->gradient + task.first * cols, cols, true});
  }
}

}  // namespace

void accumulate_gradients(const Context& context, std::span<const WeightGradient> gradients) {
  const Timed timed(Part::gradients);
  static thread_local Buffer storage;
  static thread_local std::vector<PackedInput> inputs;
  static thread_local std::vector<Task> tasks;
  inputs.clear();
  tasks.clear();
  inputs.reserve(gradients.size());  // tasks point to them
  int64_t bytes = 0, packings = 0;
  const auto same = [](const Operand& a, const Operand& b) {
    return a.data == b.data && a.rows == b.rows && a.cols == b.cols;
  };
  for (const WeightGradient& g : gradients) {
    if (g.x.rows == 0) continue;
    if (inputs.empty() || !same(*inputs.back().x, g.x)) {
      inputs.push_back({&g.x, nullptr, kernels::panel_bytes(g.x.type, g.x.rows), packings});
      packings += blocks(g.x.rows, k_block);
      bytes += kernels::panels_bytes(g.x.type, g.x.rows, g.x.cols);
    }
    const int64_t rows = g.weight->shape[0];
    for (int64_t first = 0; first < rows; first += row_block)
      tasks.push_back({&g, &inputs.back(), first, std::min(row_block, rows - first)});
  }
  std::byte* data = storage.bytes(bytes);
  for (PackedInput& input : inputs) {
    input.data = data;
    data += kernels::panels_bytes(input.x->type, input.x->rows, input.x->cols);
  }
  const std::vector<PackedInput>& packed = inputs;  // this thread's, for all of them
  const std::vector<Task>& work = tasks;
  context.pool.parallel_for(packings, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const auto after = std::upper_bound(
          packed.begin(), packed.end(), i,
          [](int64_t value, const PackedInput& input) { return value < input.first_task; });
      const PackedInput& input = *(after - 1);
      const Operand& x = *input.x;
      const int64_t k = (i - input.first_task) * k_block;
      const auto* from =
          static_cast<const std::byte*>(x.data) + k * x.stride * operand_bytes(x.type);
      context.kernels.pack_rows({{x.type, from, x.stride, std::min(k_block, x.rows - k), x.cols},
                                 input.data + kernels::panel_bytes(x.type, k),
                                 input.stride});
    }
  });
  context.pool.parallel_for(static_cast<int64_t>(work.size()), 1,
                            [&](int64_t begin, int64_t end, int) {
                              for (int64_t i = begin; i < end; ++i)
                                add_product(context, work[static_cast<size_t>(i)]);
                            });
}

}  // namespace hadal::train
