// dW = dy^T x. A task packs 512 rows of x at a time, transposes as many of dy, and adds their
// product to the gradient; gradients that share x share its panels where they are small.
#include <algorithm>
#include <vector>

#include "train/linear.h"
#include "train/profile.h"

namespace hadal::train {
namespace {

constexpr int64_t k_block = 512;  // of rows that are summed together
constexpr int64_t k_stride = k_block + 32;
// Rows of gradients of a task, at most: their operands and sums stay in the second cache, and
// packing x is little beside the products.
constexpr int64_t task_rows = 256;

// Rows [first, first + count) of a gradient.
struct Piece {
  const WeightGradient* gradient;
  int64_t first, count;
};

// Pieces [begin, end), which share x.
struct Task {
  size_t begin, end;
  int64_t rows;
};

// A piece's sums over rows [k, k + count) of dy and x, whose panels are given.
void add_product(const Context& context, const Piece& piece, int64_t k, int64_t count,
                 const Panels& x) {
  const Operand& dy = piece.gradient->dy;
  const auto* from = static_cast<const std::byte*>(dy.data) +
                     (k * dy.stride + piece.first) * operand_bytes(dy.type);
  float* transposed = thread_floats(0, piece.count * k_stride);
  context.kernels.transpose({{dy.type, from, dy.stride, count, piece.count}, transposed, k_stride});
  product(context, {dy.type, transposed, k_stride, piece.count, count}, x,
          piece.gradient->weight->gradient + piece.first * x.cols, x.cols, true);
}

void run(const Context& context, std::span<const Piece> pieces) {
  const Operand& x = pieces.front().gradient->x;
  for (int64_t k = 0; k < x.rows; k += k_block) {
    const int64_t count = std::min(k_block, x.rows - k);
    const int64_t bytes = kernels::panels_bytes(x.type, count, x.cols);
    Panels panels = {reinterpret_cast<std::byte*>(thread_floats(1, bytes / 4)),
                     kernels::panel_bytes(x.type, count), count, x.cols};
    const auto* from = static_cast<const std::byte*>(x.data) + k * x.stride * operand_bytes(x.type);
    context.kernels.pack_rows({{x.type, from, x.stride, count, x.cols},
                               const_cast<std::byte*>(panels.data),
                               panels.stride});
    for (const Piece& piece : pieces) add_product(context, piece, k, count, panels);
  }
}

}  // namespace

void accumulate_gradients(const Context& context, std::span<const WeightGradient> gradients) {
  const Timed timed(Part::gradients);
  std::vector<Piece> pieces;
  std::vector<Task> tasks;
  const Operand* last = nullptr;
  for (const WeightGradient& g : gradients) {
    if (g.x.rows == 0) continue;
    const bool same = last != nullptr && last->data == g.x.data && last->rows == g.x.rows;
    const int64_t rows = g.weight->shape[0];
    for (int64_t first = 0; first < rows; first += task_rows) {
      const int64_t count = std::min(task_rows, rows - first);
      if (!same || first > 0 || tasks.back().rows + count > task_rows)
        tasks.push_back({pieces.size(), pieces.size(), 0});
      pieces.push_back({&g, first, count});
      tasks.back().rows += count;
      tasks.back().end = pieces.size();
    }
    last = &g.x;
  }
  context.pool.parallel_for(
      static_cast<int64_t>(tasks.size()), 1, [&](int64_t begin, int64_t end, int) {
        for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
          run(context, std::span(pieces).subspan(tasks[i].begin, tasks[i].end - tasks[i].begin));
      });
}

}  // namespace hadal::train
