// BF16 and FP8 weights by the tile dot (docs/numerics.md), which is what the tiles compute. Sixteen
// rows of weights are the first operand: BF16 as it lies in the file, FP8 as BF16 numbers, 128
// columns at a time. Activations are the second operand: one is used as it is, more are packed.
#include "kernels/amx/matmul.h"
#include "kernels/amx/outputs.h"
#include "kernels/flush.h"

namespace hadal::kernels::HADAL_WIDE::amx {
namespace {

using quant::Type;

constexpr int64_t step = 32;  // columns of a tile
constexpr int64_t fp8_tile = 128;
// The second operand: a step's sixteen pairs of columns, `pair_stride` bytes apart, of up to
// sixteen tokens; steps are step_stride apart, groups of tokens group_stride.
struct Tokens {
  const char* data;
  int64_t pair_stride, step_stride, group_stride;
};

// What BF16 makes of the codes without their sign, in two bytes of two tables of 64.
struct Fp8Tables {
  alignas(64) uint8_t low[128], high[128];
};
constexpr Fp8Tables make_tables() {
  Fp8Tables t = {};
  for (int code = 0; code < 128; ++code) {
    const int exponent = code >> 3, mantissa = code & 7;
    int bits = 0;
    if (exponent != 0) {
      bits = (exponent + 120) << 7 | mantissa << 4;
    } else if (mantissa != 0) {  // mantissa * 2^-9
      const int top = mantissa >= 4 ? 2 : mantissa >= 2 ? 1 : 0;
      bits = (127 - 9 + top) << 7 | (mantissa << (7 - top) & 127);
    }
    t.low[code] = static_cast<uint8_t>(bits & 255);
    t.high[code] = static_cast<uint8_t>(bits >> 8);
  }
  return t;
}
constexpr Fp8Tables fp8_tables = make_tables();

// 64 codes to 64 BF16 numbers.
HADAL_OP void fp8_to_bf16(Ints codes, uint16_t* out) {
  // Words of eight codes in the order 0 4 1 5 2 6 3 7: unpacking works in quarters.
  const Ints order = pattern<[](int i) {
    const int lane = i / 4, word = lane / 2;
    return i % 4 != 0 ? 0 : 2 * (word / 2 + word % 2 * 4) + lane % 2;
  }>();
  const Ints c = permute32(order, codes);
  const Ints low = permute_bytes2(c, load(fp8_tables.low), load(fp8_tables.low + 64));
  const Ints high = bit_select(
      set8(127), permute_bytes2(c, load(fp8_tables.high), load(fp8_tables.high + 64)), c);
  store(out, unpack_low8(low, high));
  store(out + 32, unpack_high8(low, high));
}

// Columns [begin, begin + count) of sixteen rows as BF16, zeros up to a whole step.
struct Panel {
  static constexpr int64_t columns = 128;
  alignas(64) uint16_t weights[16][columns];
};

void unpack_fp8(const uint8_t* const* rows, int64_t begin, int64_t count, int64_t ahead,
                Panel& panel) {
  for (int r = 0; r < 16; ++r) {
    for (int64_t i = 0; i < count; i += 64) {
      const int here = static_cast<int>(count - i < 64 ? count - i : 64);
      const uint8_t* p = rows[r] + begin + i;
      prefetch_far(p + ahead);
      fp8_to_bf16(here == 64 ? load(p) : load_first(p, here), panel.weights[r] + i);
    }
  }
}

void copy_bf16(const uint8_t* const* rows, int64_t begin, int64_t count, Panel& panel) {
  for (int r = 0; r < 16; ++r)
    store(panel.weights[r], load_first(rows[r] + 2 * begin, static_cast<int>(2 * count)));
}

// c (register 0) += `steps` steps of sixteen rows, row_stride apart, times a group.
HADAL_OP void multiply(const char* weights, int64_t row_stride, const char* x, const Tokens& tokens,
                       int64_t steps, bool from_memory) {
  for (int64_t s = 0; s < steps; ++s) {
    if (from_memory) {
      const char* next = weights + 16 * row_stride;  // in four streams, of four rows each
      for (int i = 0; i < 16; ++i)
        prefetch_far(next + i % 4 * 4 * row_stride + (4 * s + i / 4) * 64);
    }
    tile_load<4>(weights + s * 64, row_stride);
    tile_load<6>(x + s * tokens.step_stride, tokens.pair_stride);
    tile_dot_bf16<0, 4, 6>();
  }
}

// Two groups of rows with two groups of tokens: c is registers 0 to 3.
HADAL_OP void multiply_four(const char* weights, int64_t row_stride, const char* x,
                            const Tokens& tokens, int64_t steps) {
  for (int64_t s = 0; s < steps; ++s) {
    const char* w = weights + s * 64;
    const char* xs = x + s * tokens.step_stride;
    tile_load<4>(w, row_stride);
    tile_load<6>(xs, 64);
    tile_dot_bf16<0, 4, 6>();
    tile_load<7>(xs + tokens.group_stride, 64);
    tile_dot_bf16<1, 4, 7>();
    tile_load<5>(w + 16 * row_stride, row_stride);
    tile_dot_bf16<2, 5, 6>();
    tile_dot_bf16<3, 5, 7>();
  }
}

TileShapes tile_shapes(int64_t tokens) {
  TileShapes shapes;
  for (int i = 0; i < 8; ++i) {
    shapes.rows[i] = 16;
    const bool weights = i == 4 || i == 5;
    shapes.row_bytes[i] = static_cast<uint16_t>(weights ? 64 : 4 * (tokens < 16 ? tokens : 16));
  }
  return shapes;
}

// y of 16 rows and n <= 16 tokens from c [row][token].
void write_group(const Matmul& m, int64_t row, int64_t token, int64_t n, const float* c) {
  const int rows = static_cast<int>(m.row_end - row < 16 ? m.row_end - row : 16);
  Ints v[16];
  for (int r = 0; r < 16; ++r) v[r] = load(c + 16 * r);
  transpose16(v);
  float* y = m.y + token * m.y_stride + row - m.row_begin;
  for (int64_t t = 0; t < n; ++t) store_first(y + t * m.y_stride, 4 * rows, v[t]);
}

// BF16 rows [row, row + 16) with the group of n tokens at `token`.
void bf16_group(const Matmul& m, int64_t row, int64_t token, int64_t n, const Tokens& tokens) {
  alignas(64) float c[16 * 16];
  const uint8_t* rows[16];
  row_pointers(m, row, rows);
  const int64_t steps = m.w->cols / step, rest = m.w->cols % step;
  const char* x = tokens.data + token / token_group * tokens.group_stride;
  tile_zero<0>();
  if (row + 16 <= m.row_end) {
    multiply(reinterpret_cast<const char*>(rows[0]), m.w->row_bytes, x, tokens, steps, token == 0);
  } else {
    Panel panel;
    for (int64_t s = 0; s < steps; ++s) {
      copy_bf16(rows, s * step, step, panel);
      multiply(reinterpret_cast<const char*>(panel.weights), sizeof(panel.weights[0]),
               x + s * tokens.step_stride, tokens, 1, false);
    }
  }
  if (rest != 0) {
    Panel panel;
    copy_bf16(rows, steps * step, rest, panel);
    multiply(reinterpret_cast<const char*>(panel.weights), sizeof(panel.weights[0]),
             x + steps * tokens.step_stride, tokens, 1, false);
  }
  if (n == 1) {
    tile_store<0>(c, 4);
    store_first(m.y + token * m.y_stride + row - m.row_begin,
                static_cast<int>(4 * (m.row_end - row < 16 ? m.row_end - row : 16)), load(c));
  } else {
    tile_store<0>(c, 64);
    write_group(m, row, token, n, c);
  }
}

// Every row and token on the 2 x 2 path where whole groups allow it.
void bf16_rows(const Matmul& m, const Tokens& tokens) {
  alignas(64) float c[4][16 * 16];
  const int64_t steps = m.w->cols / step;
  const bool whole = m.w->cols % step == 0;
  int64_t row = m.row_begin;
  for (; whole && m.n > 16 && row + 32 <= m.row_end; row += 32) {
    const char* w = static_cast<const char*>(m.w->data) + row * m.w->row_bytes;
    int64_t t = 0;
    for (; t < m.n && m.n - t > 16; t += 32) {
      tile_zero<0>();
      tile_zero<1>();
      tile_zero<2>();
      tile_zero<3>();
      multiply_four(w, m.w->row_bytes, tokens.data + t / 16 * tokens.group_stride, tokens, steps);
      tile_store<0>(c[0], 64);
      tile_store<1>(c[1], 64);
      tile_store<2>(c[2], 64);
      tile_store<3>(c[3], 64);
      const int64_t second = m.n - t - 16 < 16 ? m.n - t - 16 : 16;
      write_group(m, row, t, 16, c[0]);
      write_group(m, row, t + 16, second, c[1]);
      write_group(m, row + 16, t, 16, c[2]);
      write_group(m, row + 16, t + 16, second, c[3]);
    }
    if (t < m.n) {
      bf16_group(m, row, t, m.n - t, tokens);
      bf16_group(m, row + 16, t, m.n - t, tokens);
    }
  }
  for (; row < m.row_end; row += 16) {
    for (int64_t t = 0; t < m.n; t += 16)
      bf16_group(m, row, t, m.n - t < 16 ? m.n - t : 16, tokens);
  }
}

// The scales of sixteen rows at a column.
void row_scales(const Matmul& m, int64_t row, int64_t column, float* scales) {
  for (int64_t r = 0; r < 16; ++r) {
    const int64_t i = row + r < m.row_end ? row + r : m.row_end - 1;
    scales[r] = m.w->scales[i / fp8_tile * m.w->scale_stride + column / fp8_tile];
  }
}

void fp8_rows(const Matmul& m, const Tokens& tokens) {
  Outputs out;
  Panel panel;
  alignas(64) float c[16 * 16], scales[16];
  const int64_t k = m.w->cols;
  for (int64_t token = 0; token < m.n; token += Outputs::tokens) {
    const int64_t n = m.n - token < Outputs::tokens ? m.n - token : Outputs::tokens;
    const int64_t groups = token_groups(n);
    for (int64_t row = m.row_begin; row < m.row_end; row += 16) {
      const uint8_t* rows[16];
      row_pointers(m, row, rows);
      if (m.n > 1) out.clear(groups);
      Floats one = zero_floats();
      for (int64_t begin = 0; begin < k; begin += fp8_tile) {
        const int64_t count = k - begin < fp8_tile ? k - begin : fp8_tile;
        unpack_fp8(rows, begin, count, 16 * m.w->row_bytes, panel);
        row_scales(m, row, begin, scales);
        for (int64_t g = 0; g < groups; ++g) {
          const char* x = tokens.data + (token / token_group + g) * tokens.group_stride +
                          begin / step * tokens.step_stride;
          tile_zero<0>();
          multiply(reinterpret_cast<const char*>(panel.weights), sizeof(panel.weights[0]), x,
                   tokens, (count + step - 1) / step, false);
          if (m.n == 1) {
            tile_store<0>(c, 4);
            one = fma_flushed(load_floats(scales), load_floats(c), one);
            continue;
          }
          tile_store<0>(c, 64);
          float* sums = out.sums[g];
          for (int r = 0; r < 16; ++r)
            store_floats(sums + 16 * r, fma_flushed(set_floats(scales[r]), load_floats(c + 16 * r),
                                                    load_floats(sums + 16 * r)));
        }
      }
      if (m.n > 1) {
        out.write(m, row, token, n);
      } else {
        const int64_t left = m.row_end - row;
        store_floats_first(m.y + row - m.row_begin, static_cast<int>(left < 16 ? left : 16), one);
      }
    }
  }
}

void multiply_rows(const Matmul& m, const Tokens& tokens) {
  if (m.w->type == Type::FP8_E4M3) {
    const FlushSubnormals flush;
    fp8_rows(m, tokens);
  } else {
    bf16_rows(m, tokens);
  }
}

int64_t group_bytes_bf16(int64_t k) {
  return (k + step - 1) / step * 1024;
}

}  // namespace

int64_t packed_bytes_bf16(int64_t k, int64_t n) {
  return n < 2 ? 0 : token_groups(n) * group_bytes_bf16(k);
}

void pack_bf16(const void* x, int64_t x_stride, int64_t n, int64_t k, void* out) {
  auto* to = static_cast<char*>(out);
  for (int64_t t = 0; t < n; t += token_group) {
    for (int64_t i = 0; i < k; i += step, to += 1024) {
      Ints v[16];
      for (int64_t j = 0; j < 16; ++j) {
        const char* row = static_cast<const char*>(x) + (t + j) * x_stride;
        v[j] = t + j < n ? load(row + 2 * i) : zero();
      }
      transpose16(v);
      for (int j = 0; j < 16; ++j) store(to + 64 * j, v[j]);
    }
  }
}

void matmul_packed_bf16(const Matmul& m) {
  tile_configure(tile_shapes(16));
  multiply_rows(m, {static_cast<const char*>(m.x), 64, 1024, group_bytes_bf16(m.w->cols)});
  tile_release();
}

void matmul_bf16(const Matmul& m) {
  tile_configure(tile_shapes(1));
  for (int64_t t = 0; t < m.n; ++t) {
    Matmul one = m;
    one.n = 1;
    one.y += t * m.y_stride;
    const char* x = static_cast<const char*>(m.x) + t * m.x_stride;
    multiply_rows(one, {x, 4, 64, 0});
  }
  tile_release();
}

}  // namespace hadal::kernels::HADAL_WIDE::amx
