// dot16 products: an output's sixteen lanes are one vector. Eight rows are decoded to floats, 768
// columns at a time, and meet three activations in registers; the lanes of eight outputs are added
// together. Plain types skip the decoding pass where few activations are there.
#include "kernels/avx512/float_entries.h"
#include "kernels/avx512/lanes.h"
#include "kernels/tables.h"

namespace hadal::kernels::HADAL_WIDE {
namespace {

using quant::Type;

// Columns of a piece: whole blocks and FP8 tiles. Eight rows are 24 KiB.
constexpr int64_t part = 768;
constexpr int64_t row_group = 8;
constexpr int64_t token_group = 48;  // 8 x 48 outputs' lanes: 24 KiB
// With more activations, BF16 and F16 are worth a decoding pass.
constexpr int64_t direct_tokens_max = 6;

HADAL_OP const float* activation(const Matmul& m, int64_t t) {
  return reinterpret_cast<const float*>(static_cast<const char*>(m.x) + t * m.x_stride);
}

template <Type type>
HADAL_OP Floats load16(const char* p) {
  if constexpr (type == Type::F32) return load_floats(reinterpret_cast<const float*>(p));
  if constexpr (type == Type::F16) return load_f16(p);
  if constexpr (type == Type::BF16) return load_bf16(p);
}

template <Type type>
constexpr int64_t bytes_of = type == Type::F32 ? 4 : 2;

// The first n < 16 weights, then zeros.
template <Type type>
HADAL_OP Floats load_rest(const char* p, int n) {
  if constexpr (type == Type::F32) return load_floats_first(reinterpret_cast<const float*>(p), n);
  alignas(64) char rest[64];
  store(rest, load_first(p, n * 2));
  return load16<type>(rest);
}

// A piece of eight rows (pointers repeat where there are fewer) and some activations.
struct Piece {
  const char* w[row_group];
  const float* const* x;
  int64_t columns;
  bool first, last;  // piece of the row
  Floats* lanes;     // [activations, 8]: sums between pieces
  float* y;          // outputs, y_stride apart
  int64_t y_stride;
  int rows;
  float scale;
};

// With T activations; weights are decoded in registers, and fetched ahead in long rows.
template <Type type, int T>
__attribute__((noinline)) void multiply(const Piece& p) {
  constexpr int64_t bytes = bytes_of<type>;
  constexpr int64_t ahead = 1024;  // bytes
  Floats sum[T][row_group];
#pragma GCC unroll 3
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 8
    for (int r = 0; r < row_group; ++r)
      sum[t][r] = p.first ? zero_floats() : p.lanes[t * row_group + r];
  }
  const char* w[row_group];
  const float* x[T];
#pragma GCC unroll 8
  for (int r = 0; r < row_group; ++r) w[r] = p.w[r];
#pragma GCC unroll 3
  for (int t = 0; t < T; ++t) x[t] = p.x[t];
  const int64_t whole = p.columns / 16 * 16;
  for (int64_t i = 0; i < whole; i += 16) {
    Floats xs[T];
#pragma GCC unroll 3
    for (int t = 0; t < T; ++t) xs[t] = load_floats(x[t] + i);
#pragma GCC unroll 8
    for (int r = 0; r < row_group; ++r) {
      const char* from = w[r] + i * bytes;
      if constexpr (T == 1) prefetch_near(from + ahead);
      const Floats ws = in_register(load16<type>(from));
#pragma GCC unroll 3
      for (int t = 0; t < T; ++t) sum[t][r] = fma(ws, xs[t], sum[t][r]);
    }
  }
  if (whole < p.columns) {
    const int left = static_cast<int>(p.columns - whole);
    Floats xs[T];
#pragma GCC unroll 3
    for (int t = 0; t < T; ++t) xs[t] = load_floats_first(x[t] + whole, left);
#pragma GCC unroll 8
    for (int r = 0; r < row_group; ++r) {
      const Floats ws = load_rest<type>(w[r] + whole * bytes, left);
#pragma GCC unroll 3
      for (int t = 0; t < T; ++t) sum[t][r] = fma(ws, xs[t], sum[t][r]);
    }
  }
#pragma GCC unroll 3
  for (int t = 0; t < T; ++t) {
    if (p.last) {
      const Floats y = mul_floats(set_floats(p.scale), add_lanes(sum[t]));
      store_floats_first(p.y + t * p.y_stride, p.rows, y);
    } else {
#pragma GCC unroll 8
      for (int r = 0; r < row_group; ++r) p.lanes[t * row_group + r] = sum[t][r];
    }
  }
}

// n activations, three at a time.
template <Type type>
void multiply_all(Piece& p, int64_t n) {
  for (int64_t t = 0; t < n; t += 3) {
    if (n - t >= 3)
      multiply<type, 3>(p);
    else if (n - t == 2)
      multiply<type, 2>(p);
    else
      multiply<type, 1>(p);
    p.x += 3;
    p.lanes += 3 * row_group;
    p.y += 3 * p.y_stride;
  }
}

// The next rows' weights of a piece are on their way while this one is computed.
void fetch(const Matmul& m, int64_t row, int64_t from, int64_t bytes) {
  const int64_t rows = m.row_end - row < row_group ? m.row_end - row : row_group;
  for (int64_t r = 0; r < rows; ++r) {
    const char* p = static_cast<const char*>(m.w->data) + (row + r) * m.w->row_bytes + from;
    for (int64_t i = 0; i < bytes; i += 64) prefetch_near(p + i);
  }
}

// Rows [row, row + rows), rows <= 8, with activations [t0, t0 + n), n <= 48.
void block(const Matmul& m, int64_t row, int64_t rows, int64_t t0, int64_t n, float scale) {
  alignas(64) float panel[row_group * part];
  alignas(64) Floats lanes[token_group * row_group];
  const Type type = m.w->type;
  const bool direct =
      type == Type::F32 || ((type == Type::BF16 || type == Type::F16) && n <= direct_tokens_max);
  const int64_t k = m.w->cols;
  const int64_t step = direct && n <= 3 ? k : part;  // what is used once needs no cache
  for (int64_t begin = 0; begin < k; begin += step) {
    const int64_t count = k - begin < step ? k - begin : step;
    const int64_t plain_bytes = type == Type::F32 ? 4 : 2;
    Piece piece = {};
    for (int64_t r = 0; r < row_group; ++r) {
      if (r >= rows) {
        piece.w[r] = piece.w[0];
      } else if (direct) {
        piece.w[r] =
            static_cast<const char*>(m.w->data) + (row + r) * m.w->row_bytes + begin * plain_bytes;
      } else {
        decode_floats(*m.w, row + r, begin, count, panel + r * part);
        piece.w[r] = reinterpret_cast<const char*>(panel + r * part);
      }
    }
    if (!direct) fetch(m, row + row_group, m.w->row_bytes * begin / k, m.w->row_bytes * count / k);
    const float* x[token_group];
    for (int64_t t = 0; t < n; ++t) x[t] = activation(m, t0 + t) + begin;
    piece.x = x;
    piece.columns = count;
    piece.first = begin == 0;
    piece.last = begin + count == k;
    piece.lanes = lanes;
    piece.y = m.y + t0 * m.y_stride + row - m.row_begin;
    piece.y_stride = m.y_stride;
    piece.rows = static_cast<int>(rows);
    piece.scale = scale;
    if (direct && type == Type::BF16)
      multiply_all<Type::BF16>(piece, n);
    else if (direct && type == Type::F16)
      multiply_all<Type::F16>(piece, n);
    else
      multiply_all<Type::F32>(piece, n);
  }
}

}  // namespace

void matmul_scaled(const Matmul& m, float scale) {
  for (int64_t t = 0; t < m.n; t += token_group) {
    const int64_t n = m.n - t < token_group ? m.n - t : token_group;
    for (int64_t row = m.row_begin; row < m.row_end; row += row_group) {
      const int64_t rows = m.row_end - row < row_group ? m.row_end - row : row_group;
      block(m, row, rows, t, n, scale);
    }
  }
}

void matmul_float(const Matmul& m) {
  if (m.w->type == Type::Q8_0 && m.n >= few_min && m.n <= few_max) return matmul_few(m);
  matmul_scaled(m, 1.0f);
}

}  // namespace hadal::kernels::HADAL_WIDE
