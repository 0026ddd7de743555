// dW = dy^T x. A task packs 512 rows of x at a time, transposes as many of dy, and adds their
// product to the gradient; gradients that share x share its panels where they are small.
#include <algorithm>
#include <deque>
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

// The rows in front of and behind an adapter's middle: xa = scale x a^T, db = scale dy b, both
// [n, rank].
struct LowRank {
  const WeightGradient* gradient = nullptr;
  OperandRows xa, db;
};

// A small matrix in the format of operands, on this thread until `place` is used again.
Operand small_operand(const Context& context, quant::Type type, const Parameter& matrix,
                      size_t place) {
  const int64_t rows = matrix.shape[0], cols = matrix.shape[1];
  if (type == quant::Type::F32) return {type, matrix.value, cols, rows, cols};
  const int64_t stride = padded_row(cols);
  auto* halves = reinterpret_cast<uint16_t*>(thread_floats(place, rows * stride / 2));
  for (int64_t r = 0; r < rows; ++r)
    context.kernels.float_to_bf16(matrix.value + r * cols, cols, halves + r * stride);
  return {type, halves, stride, rows, cols};
}

// Rows [first, first + count) of out = scale `rows` `panels`.
void narrow(const Context& context, Operand rows, const Panels& panels, float scale, int64_t first,
            int64_t count, const OperandRows& out) {
  rows.data =
      static_cast<const std::byte*>(rows.data) + first * rows.stride * operand_bytes(rows.type);
  rows.rows = count;
  float* y = thread_floats(2, count * panels.cols);
  product(context, rows, panels, y, panels.cols);
  context.kernels.scale(scale, y, count * panels.cols, y);
  out.set_rows(context, first, count, y);
}

void fill(const Context& context, const LowRank& low, int64_t first, int64_t count) {
  const WeightGradient& g = *low.gradient;
  const Parameter &a = *g.weight->a, &b = *g.weight->b;
  const int64_t rank = a.shape[0];
  const auto panels = [&](int64_t k, size_t place) {
    const int64_t bytes = kernels::panels_bytes(g.x.type, k, rank);
    return Panels{reinterpret_cast<std::byte*>(thread_floats(place, bytes / 4)),
                  kernels::panel_bytes(g.x.type, k), k, rank};
  };
  const Panels down = panels(a.shape[1], 0);
  context.kernels.pack_columns(
      {small_operand(context, g.x.type, a, 1), const_cast<std::byte*>(down.data), down.stride});
  narrow(context, g.x, down, g.weight->scale, first, count, low.xa);
  const Panels up = panels(b.shape[0], 0);
  context.kernels.pack_rows(
      {small_operand(context, g.x.type, b, 1), const_cast<std::byte*>(up.data), up.stride});
  narrow(context, g.dy, up, g.weight->scale, first, count, low.db);
}

// The gradients that are wanted, adapters' in the place of their matrices'. Those that share x stay
// neighbours.
std::vector<WeightGradient> wanted(const Context& context,
                                   std::span<const WeightGradient> gradients,
                                   std::deque<LowRank>& kept) {
  constexpr int64_t rows = 1024;  // of a task: packing a and b is little beside the products
  std::vector<WeightGradient> out;
  std::vector<std::pair<const LowRank*, int64_t>> tasks;
  size_t used = 0;
  for (const WeightGradient& g : gradients) {
    if (g.weight->gradient != nullptr) out.push_back(g);
    if (g.weight->a == nullptr || g.x.rows == 0) continue;
    if (used == kept.size()) kept.emplace_back();
    LowRank& low = kept[used++];
    low.gradient = &g;
    low.xa.resize(g.x.type, g.x.rows, g.weight->a->shape[0]);
    low.db.resize(g.x.type, g.x.rows, g.weight->a->shape[0]);
    for (int64_t first = 0; first < g.x.rows; first += rows) tasks.emplace_back(&low, first);
  }
  context.pool.parallel_for(
      static_cast<int64_t>(tasks.size()), 1, [&](int64_t begin, int64_t end, int) {
        for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
          const auto& [low, first] = tasks[i];
          fill(context, *low, first, std::min(rows, low->gradient->x.rows - first));
        }
      });
  for (size_t i = 0; i < used; ++i) {
    const WeightGradient& g = *kept[i].gradient;
    out.push_back({g.weight->a, g.x, kept[i].db.rows(0, g.x.rows)});
  }
  for (size_t i = 0; i < used; ++i) {
    const WeightGradient& g = *kept[i].gradient;
    out.push_back({g.weight->b, kept[i].xa.rows(0, g.x.rows), g.dy});
  }
  return out;
}

}  // namespace

void accumulate_gradients(const Context& context, std::span<const WeightGradient> all) {
  const Timed timed(Part::gradients);
  static thread_local std::deque<LowRank> kept;
  const std::vector<WeightGradient> gradients = wanted(context, all, kept);
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
