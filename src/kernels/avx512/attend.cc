// Attention on BF16 by vectors of floats that flush as tiles do: scores with sixteen queries side
// by side, values with sixteen columns.
#include "kernels/avx512/attend.h"

#include "kernels/avx512/attend_entries.h"
#include "kernels/avx512/transpose.h"

namespace hadal::kernels::HADAL_WIDE {
namespace {

constexpr int64_t group = attend_group;

// Where the parts of the scratch lie.
struct Parts {
  explicit Parts(const Attend& a)
      : key_stride(attend_padded(a.width, attend_step)),
        value_stride(attend_padded(a.value_width, 16)),
        keys(static_cast<float*>(a.scratch)),
        values(keys + attend_page * key_stride),
        out(values + attend_page * value_stride) {}
  int64_t key_stride, value_stride;
  float *keys, *values;  // of the page, decoded
  float* out;            // [16, value_stride]: what the page adds to a group's outputs
};

void decode(const uint16_t* rows, int64_t stride, int64_t count, int64_t width, float* out,
            int64_t out_stride) {
  for (int64_t j = 0; j < count; ++j) {
    const uint16_t* row = rows + j * stride;
    float* to = out + j * out_stride;
    int64_t c = 0;
    for (; c + 16 <= width; c += 16) store_floats(to + c, load_bf16(row + c));
    if (c < width) {
      alignas(64) uint16_t rest[32] = {};
      for (int64_t i = 0; c + i < width; ++i) rest[i] = row[c + i];
      store_floats(to + c, load_bf16(rest));
    }
  }
}

// Scores of eight positions.
HADAL_OP void score(const uint16_t* q, const float* keys, int64_t stride, int64_t pairs, float* s) {
  Floats sum[8];
#pragma GCC unroll 8
  for (auto& x : sum) x = zero_floats();
  for (int64_t first = 0; first < pairs; first += attend_step / 2) {
    Floats even[8], odd[8];
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) even[j] = odd[j] = zero_floats();
    const int64_t end = pairs < first + attend_step / 2 ? pairs : first + attend_step / 2;
    for (int64_t i = first; i < end; ++i) {
      const Ints pair = load(q + 2 * group * i);
      const Floats q0 = as_floats(shift_left32<16>(pair));
      const Floats q1 = as_floats(bit_and(pair, set32(static_cast<int32_t>(0xffff0000u))));
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) {
        const float* key = keys + j * stride + 2 * i;
        even[j] = fma_flushed(q0, set_floats(key[0]), even[j]);
        odd[j] = fma_flushed(q1, set_floats(key[1]), odd[j]);
      }
    }
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) sum[j] = add_flushed(sum[j], add_flushed(even[j], odd[j]));
  }
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) store_floats(s + j * group, sum[j]);
}

__attribute__((noinline)) void scores(const Attend& a, const Parts& parts, const Group& g,
                                      float* s) {
  const FlushSubnormals flush;
  for (int64_t j = 0; j < g.positions; j += 8)
    score(a.q + g.first * parts.key_stride, parts.keys + j * parts.key_stride, parts.key_stride,
          (a.width + 1) / 2, s + j * group);
}

// Weights p of queries and positions, each so far apart.
struct Weights {
  const float* p;
  int64_t query_stride, position_stride;
};

// What the page adds to sixteen columns of eight queries' outputs.
HADAL_OP void add_values(const Weights weights, const float* values, int64_t stride,
                         int64_t positions, float* out, int64_t out_stride) {
  const auto weight_at = [&](int64_t query, int64_t position) {
    return set_floats(weights.p[query * weights.query_stride + position * weights.position_stride]);
  };
  Floats sum[8];
#pragma GCC unroll 8
  for (auto& x : sum) x = zero_floats();
  for (int64_t first = 0; first < positions; first += attend_step) {
    Floats even[8], odd[8];
#pragma GCC unroll 8
    for (int q = 0; q < 8; ++q) even[q] = odd[q] = zero_floats();
    const int64_t end = positions < first + attend_step ? positions : first + attend_step;
    int64_t j = first;
    for (; j + 2 <= end; j += 2) {
      const Floats v0 = load_floats(values + j * stride);
      const Floats v1 = load_floats(values + (j + 1) * stride);
#pragma GCC unroll 8
      for (int q = 0; q < 8; ++q) {
        even[q] = fma_flushed(weight_at(q, j), v0, even[q]);
        odd[q] = fma_flushed(weight_at(q, j + 1), v1, odd[q]);
      }
    }
    if (j < end) {
      const Floats v0 = load_floats(values + j * stride);
#pragma GCC unroll 8
      for (int q = 0; q < 8; ++q) even[q] = fma_flushed(weight_at(q, j), v0, even[q]);
    }
#pragma GCC unroll 8
    for (int q = 0; q < 8; ++q) sum[q] = add_flushed(sum[q], add_flushed(even[q], odd[q]));
  }
#pragma GCC unroll 8
  for (int q = 0; q < 8; ++q) store_floats(out + q * out_stride, sum[q]);
}

// The same to whole outputs, columns a multiple of sixteen.
__attribute__((noinline)) void add_all_values(const Weights w, const float* values, int64_t stride,
                                              int64_t positions, int64_t columns, int64_t queries,
                                              float* out, int64_t out_stride) {
  const FlushSubnormals flush;
  for (int64_t q = 0; q < queries; q += 8)
    for (int64_t c = 0; c < columns; c += 16)
      add_values({w.p + q * w.query_stride, w.query_stride, w.position_stride}, values + c, stride,
                 positions, out + q * out_stride + c, out_stride);
}

}  // namespace

void attend(const Attend& a) {
  const Parts parts(a);
  decode(a.keys, a.key_stride, a.positions, a.width, parts.keys, parts.key_stride);
  decode(a.values, a.value_stride, a.positions, a.value_width, parts.values, parts.value_stride);
  alignas(64) float s[attend_page * group], factors[group];
  for (int64_t first = 0; first < a.queries; first += group) {
    const Group g(a, first);
    if (g.positions <= 0) continue;
    scores(a, parts, g, s);
    const uint32_t blind = softmax(a, g, s, factors);
    add_all_values({s, 1, group}, parts.values, parts.value_stride, g.positions, parts.value_stride,
                   g.count, parts.out, parts.value_stride);
    for (int i = 0; i < g.count; ++i)
      if ((blind >> i & 1) == 0)
        add_output(parts.out + i * parts.value_stride, factors[i], a.value_width,
                   a.o + (first + i) * a.o_stride);
  }
}

// As values: rows of w for positions, tokens for queries.
void transposed_bf16(const TransposedBf16& m) {
  const int64_t w_stride = attend_padded(m.cols, 16);
  const int64_t x_stride = attend_padded(m.rows, attend_step);
  auto* w = static_cast<float*>(m.scratch);
  float* x = w + x_stride * w_stride;
  decode(m.w, m.w_stride, m.rows, m.cols, w, w_stride);
  decode(m.x, m.x_stride, m.n, m.rows, x, x_stride);
  for (int64_t t = 0; t < m.n; t += 8) {
    alignas(64) float rest[8 * 16];
    const int64_t count = m.n - t < 8 ? m.n - t : 8;
    const Weights weights = {x + t * x_stride, x_stride, 1};
    const int64_t whole = count == 8 ? m.cols / 16 * 16 : 0;
    add_all_values(weights, w, w_stride, m.rows, whole, 8, m.y + t * m.y_stride, m.y_stride);
    for (int64_t c = whole; c < m.cols; c += 16) {
      add_all_values(weights, w + c, w_stride, m.rows, 16, 8, rest, 16);
      const int n = static_cast<int>(m.cols - c < 16 ? m.cols - c : 16);
      for (int64_t i = 0; i < count; ++i)
        store_floats_first(m.y + (t + i) * m.y_stride + c, n, load_floats(rest + 16 * i));
    }
  }
}

namespace {

// Rounded to BF16, in the high halves; NaN stays a quiet NaN.
HADAL_OP Ints high_bf16(Floats x) {
  const Ints u = as_ints(x);
  const Ints odd = bit_and(shift_right32<16>(u), set32(1));
  const Ints up = add32(u, add32(odd, set32(0x7fff)));
  const Ints quiet = bit_or(u, set32(0x400000));
  return bit_and(blend32(unordered_floats(x, x), up, quiet),
                 set32(static_cast<int32_t>(0xffff0000u)));
}

}  // namespace

void pack_queries(const float* q, int64_t stride, int64_t queries, int64_t width, uint16_t* out) {
  alignas(64) static const uint32_t even[16] = {0,  2,  4,  6,  8,  10, 12, 14,
                                                16, 18, 20, 22, 24, 26, 28, 30};
  const Ints odd = add32(load(even), set32(1));
  const int64_t padded = attend_padded(width, attend_step);
  for (int64_t first = 0; first < queries; first += group) {
    uint16_t* to = out + first * padded;
    for (int64_t k = 0; k < padded; k += attend_step) {
      const int n = static_cast<int>(width - k < attend_step ? width - k : attend_step);
      Ints pairs[group];
      for (int i = 0; i < group; ++i) {
        pairs[i] = zero();
        if (first + i >= queries) continue;
        const float* row = q + (first + i) * stride + k;
        const Ints a = high_bf16(load_floats_first(row, n < 16 ? n : 16));
        const Ints b = high_bf16(load_floats_first(row + 16, n < 16 ? 0 : n - 16));
        pairs[i] = bit_or(shift_right32<16>(permute32_2(load(even), a, b)), permute32_2(odd, a, b));
      }
      transpose16(pairs);
      for (int i = 0; i < group; ++i) store(to + (k / 2 + i) * 2 * group, pairs[i]);
    }
  }
}

// Two codes lie in each lane: the even one is shifted to the top alone, the odd one is left there,
// both as multiples of 2^24, which the scale takes back exactly.
void q8_0_to_bf16(const void* blocks, int64_t n, uint16_t* y) {
  const auto* block = static_cast<const char*>(blocks);
  const Ints half = set32(0x8000);
  const Ints top = set32(static_cast<int32_t>(0xffff0000u));
  for (int64_t i = 0; i < n; i += 32, block += 34) {
    uint16_t scale;
    __builtin_memcpy(&scale, block, 2);
    const Floats d = set_floats(f16_to_float(scale) * 0x1p-24f);
    const Ints codes = load_u16_as_i32(block + 2);
    const Ints odd = bit_and(shift_left32<16>(codes), set32(static_cast<int32_t>(0xff000000u)));
    const Floats a = mul_floats(d, to_floats(shift_left32<24>(codes)));
    const Floats b = mul_floats(d, to_floats(odd));
    store(y + i, bit_or(shift_right32<16>(add32(as_ints(a), half)),
                        bit_and(add32(as_ints(b), half), top)));
  }
}

}  // namespace hadal::kernels::HADAL_WIDE
