// Products by the tile dot (docs/numerics.md). Rows are lanes: pairs of neighbouring weights of
// eight rows are transposed, so that the even and the odd chains of eight outputs are two registers
// and nothing is added across lanes. FP8 is first turned into BF16, 128 columns at a time.
#include "kernels/avx2/simd.h"

namespace hadal::kernels::avx2 {
namespace {

using quant::Type;

constexpr int64_t step = 32;
constexpr int64_t fp8_tile = 128;
constexpr int64_t part = 256;  // columns of a panel: sixteen rows of floats are 16 KiB
constexpr int64_t token_group = 48;
// From this many activations on, unpacking sixteen rows into a panel pays.
constexpr int64_t panel_tokens_min = 3;

// Subnormal operands and results count as zero while it lives. Arithmetic may move past it inside
// one function: what relies on it stands in functions that are not inlined.
struct Flushing {
  unsigned saved = _mm_getcsr();
  Flushing() { _mm_setcsr(saved | 0x8040u); }
  ~Flushing() { _mm_setcsr(saved); }
  Flushing(const Flushing&) = delete;
  Flushing& operator=(const Flushing&) = delete;
};

// 32 codes as BF16. In an e4m3 code the low nibble is the upper half of the low byte; the high
// nibble gives sign and exponent. Codes with a zero exponent have values of their own.
inline void fp8_to_bf16(const uint8_t* p, uint16_t* out) {
  const __m256i nibble = _mm256_set1_epi8(0x0f);
  const auto table = [](int64_t low, int64_t high) {
    return _mm256_setr_epi64x(low, high, low, high);
  };
  // Quarters 0 2 1 3, because unpacking works in halves.
  const __m256i c =
      _mm256_permute4x64_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), 0xd8);
  const __m256i low = _mm256_and_si256(c, nibble);
  const __m256i high = _mm256_and_si256(_mm256_srli_epi16(c, 4), nibble);
  const __m256i normal_low = _mm256_slli_epi16(low, 4);
  const __m256i normal_high = _mm256_shuffle_epi8(
      table(0x434241403f3e3d3c, static_cast<int64_t>(0xc3c2c1c0bfbebdbc)), high);
  const __m256i small_low = _mm256_shuffle_epi8(table(0x60402000c0800000, 0), low);
  const __m256i small_high =
      _mm256_or_si256(_mm256_shuffle_epi8(table(0x3c3c3c3c3b3b3b00, 0), low),
                      _mm256_and_si256(c, _mm256_set1_epi8(static_cast<char>(0x80))));
  const __m256i is_small =
      _mm256_cmpeq_epi8(_mm256_and_si256(c, _mm256_set1_epi8(0x78)), _mm256_setzero_si256());
  const __m256i l = _mm256_blendv_epi8(normal_low, small_low, is_small);
  const __m256i h = _mm256_blendv_epi8(normal_high, small_high, is_small);
  auto* to = reinterpret_cast<__m256i*>(out);
  _mm256_storeu_si256(to, _mm256_unpacklo_epi8(l, h));
  _mm256_storeu_si256(to + 1, _mm256_unpackhi_epi8(l, h));
}

// BF16 weights of some rows at columns [begin, begin + count), zeros up to a whole step: where they
// lie in the matrix, or `scratch` [rows][part].
inline void find_weights(const Matrix& w, const int64_t* rows, int count_rows, int64_t begin,
                         int64_t count, uint16_t* scratch, const uint16_t** out) {
  const bool fp8 = w.type == Type::FP8_E4M3;
  const int64_t whole = count / step * step;
  for (int r = 0; r < count_rows; ++r) {
    const char* p = static_cast<const char*>(w.data) + rows[r] * w.row_bytes;
    out[r] = reinterpret_cast<const uint16_t*>(p) + begin;
    if (!fp8 && whole == count) continue;
    uint16_t* to = scratch + r * part;
    if (fp8) {
      const auto* codes = reinterpret_cast<const uint8_t*>(p) + begin;
      for (int64_t i = 0; i < whole; i += step) fp8_to_bf16(codes + i, to + i);
      if (whole < count) {
        uint8_t rest[step] = {};
        for (int64_t i = whole; i < count; ++i) rest[i - whole] = codes[i];
        fp8_to_bf16(rest, to + whole);
      }
    } else {
      for (int64_t i = 0; i < count; ++i) to[i] = out[r][i];
      for (int64_t i = count; i < whole + step; ++i) to[i] = 0;
    }
    out[r] = to;
  }
}

// Lane r of v[i]: pair i of the sixteen weights at w[r].
inline void load_pairs(const uint16_t* const* w, int64_t at, __m256i* v) {
  const auto halves = [&](int r, int64_t i) {
    const auto* a = reinterpret_cast<const __m128i*>(w[r] + at + i);
    const auto* b = reinterpret_cast<const __m128i*>(w[r + 4] + at + i);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(a)), _mm_loadu_si128(b),
                                   1);
  };
  for (int i = 0; i < 2; ++i) {
    const __m256i r0 = halves(0, 8 * i), r1 = halves(1, 8 * i);
    const __m256i r2 = halves(2, 8 * i), r3 = halves(3, 8 * i);
    const __m256i a = _mm256_unpacklo_epi32(r0, r1), b = _mm256_unpacklo_epi32(r2, r3);
    const __m256i c = _mm256_unpackhi_epi32(r0, r1), d = _mm256_unpackhi_epi32(r2, r3);
    v[4 * i] = _mm256_unpacklo_epi64(a, b);
    v[4 * i + 1] = _mm256_unpackhi_epi64(a, b);
    v[4 * i + 2] = _mm256_unpacklo_epi64(c, d);
    v[4 * i + 3] = _mm256_unpackhi_epi64(c, d);
  }
}

inline __m256 even_of(__m256i pairs) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
}
inline __m256 odd_of(__m256i pairs) {
  return _mm256_castsi256_ps(
      _mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
}

// The scales of eight rows at a column.
inline __m256 row_scales(const Matrix& w, const int64_t* rows, int64_t column) {
  const float* scales = w.scales + column / fp8_tile;
  const auto at = [&](int r) { return scales[rows[r] / fp8_tile * w.scale_stride]; };
  if (rows[0] / fp8_tile == rows[7] / fp8_tile) return _mm256_set1_ps(at(0));
  return _mm256_setr_ps(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7));
}

inline const uint16_t* activation(const Matmul& m, int64_t t) {
  return reinterpret_cast<const uint16_t*>(static_cast<const char*>(m.x) + t * m.x_stride);
}

// Rows [row, row + 8); those past the end repeat the last one.
inline void row_numbers(const Matmul& m, int64_t row, int count, int64_t* rows) {
  for (int r = 0; r < count; ++r) rows[r] = row + r < m.row_end ? row + r : m.row_end - 1;
}

// ---- one or two activations: eight rows are transposed in registers

constexpr int64_t line = 64;

// sums[t] += `count` columns of eight rows times activation t.
template <int T>
inline void stream_steps(const uint16_t* const* w, const uint16_t* const* x, int64_t count,
                         const char* next, __m256* sums) {
  for (int64_t i = 0; i < count; i += step) {
    if (next != nullptr) {
      for (int r = 0; r < 8; ++r) _mm_prefetch(next + 16 * i + r * line, _MM_HINT_T1);
    }
    __m256 even[T], odd[T];
    for (int t = 0; t < T; ++t) even[t] = odd[t] = _mm256_setzero_ps();
    for (int64_t at = i; at < i + step; at += 16) {
      __m256i pairs[8];
      load_pairs(w, at, pairs);
      for (int p = 0; p < 8; ++p) {
        const __m256 w0 = even_of(pairs[p]), w1 = odd_of(pairs[p]);
        for (int t = 0; t < T; ++t) {
          int both;
          __builtin_memcpy(&both, x[t] + at + 2 * p, 4);
          const __m256i xs = _mm256_set1_epi32(both);
          even[t] = _mm256_fmadd_ps(w0, even_of(xs), even[t]);
          odd[t] = _mm256_fmadd_ps(w1, odd_of(xs), odd[t]);
        }
      }
    }
    for (int t = 0; t < T; ++t) sums[t] = _mm256_add_ps(sums[t], _mm256_add_ps(even[t], odd[t]));
  }
}

template <int T>
__attribute__((noinline)) void stream(const Matmul& m) {
  const Matrix& w = *m.w;
  const bool fp8 = w.type == Type::FP8_E4M3;
  alignas(64) uint16_t scratch[8 * part];
  for (int64_t row = m.row_begin; row < m.row_end; row += 8) {
    int64_t rows[8];
    row_numbers(m, row, 8, rows);
    __m256 sums[T];
    for (int t = 0; t < T; ++t) sums[t] = _mm256_setzero_ps();
    // The next eight rows are fetched in the order in which they lie.
    const char* next = static_cast<const char*>(w.data) + (row + 8) * w.row_bytes;
    const int64_t whole = fp8 ? 0 : w.cols / step * step;  // columns that are used where they are
    const uint16_t* p[8];
    const uint16_t* x[T];
    for (int t = 0; t < T; ++t) x[t] = activation(m, t);
    if (whole > 0) {
      find_weights(w, rows, 8, 0, whole, scratch, p);
      stream_steps<T>(p, x, whole, next, sums);
    }
    for (int64_t begin = whole; begin < w.cols; begin += fp8_tile) {
      const int64_t count = w.cols - begin < fp8_tile ? w.cols - begin : fp8_tile;
      if (fp8) {
        for (int64_t i = 0; i < 8 * count; i += line)
          _mm_prefetch(next + 8 * begin + i, _MM_HINT_T1);
      }
      find_weights(w, rows, 8, begin, count, scratch, p);
      for (int t = 0; t < T; ++t) x[t] = activation(m, t) + begin;
      if (!fp8) {
        stream_steps<T>(p, x, count, nullptr, sums);
        continue;
      }
      __m256 tile[T];
      for (int t = 0; t < T; ++t) tile[t] = _mm256_setzero_ps();
      stream_steps<T>(p, x, count, nullptr, tile);
      const __m256 scale = row_scales(w, rows, begin);
      for (int t = 0; t < T; ++t) sums[t] = _mm256_fmadd_ps(scale, tile[t], sums[t]);
    }
    for (int t = 0; t < T; ++t)
      _mm256_maskstore_ps(m.y + t * m.y_stride + row - m.row_begin,
                          first_lanes(clamp8(m.row_end - row)), sums[t]);
  }
}

// ---- more activations: sixteen rows are unpacked into a panel of floats

// [pair][even, odd][16 rows]
inline void pack(const uint16_t* const* w, int64_t count, float* panel) {
  for (int64_t at = 0; at < count; at += 16) {
    for (int group = 0; group < 2; ++group) {
      __m256i pairs[8];
      load_pairs(w + 8 * group, at, pairs);
      for (int p = 0; p < 8; ++p) {
        float* to = panel + (at / 2 + p) * 32 + 8 * group;
        _mm256_store_ps(to, even_of(pairs[p]));
        _mm256_store_ps(to + 16, odd_of(pairs[p]));
      }
    }
  }
}

// sums[g][t] += `count` columns of rows 8g ... 8g + 7 times activation t, x being `part` apart.
template <int T>
inline void panel_steps(const float* panel, const float* x, int64_t count, __m256 (*sums)[T]) {
  for (int64_t i = 0; i < count; i += step) {
    __m256 even[2][T], odd[2][T];
    for (int g = 0; g < 2; ++g)
      for (int t = 0; t < T; ++t) even[g][t] = odd[g][t] = _mm256_setzero_ps();
    for (int64_t k = i; k < i + step; k += 2) {
      const float* w = panel + 16 * k;
      const __m256 w0 = _mm256_load_ps(w), w1 = _mm256_load_ps(w + 8);
      for (int t = 0; t < T; ++t) {
        const __m256 xs = _mm256_broadcast_ss(x + t * part + k);
        even[0][t] = _mm256_fmadd_ps(w0, xs, even[0][t]);
        even[1][t] = _mm256_fmadd_ps(w1, xs, even[1][t]);
      }
      const __m256 w2 = _mm256_load_ps(w + 16), w3 = _mm256_load_ps(w + 24);
      for (int t = 0; t < T; ++t) {
        const __m256 xs = _mm256_broadcast_ss(x + t * part + k + 1);
        odd[0][t] = _mm256_fmadd_ps(w2, xs, odd[0][t]);
        odd[1][t] = _mm256_fmadd_ps(w3, xs, odd[1][t]);
      }
    }
    for (int g = 0; g < 2; ++g)
      for (int t = 0; t < T; ++t)
        sums[g][t] = _mm256_add_ps(sums[g][t], _mm256_add_ps(even[g][t], odd[g][t]));
  }
}

// Sixteen rows of a panel with T activations; the outputs rest in y between the parts of a row.
template <int T>
inline void panel_tokens(const Matmul& m, const float* panel, const float* x, int64_t row,
                         int64_t begin, int64_t count, int64_t token) {
  const bool fp8 = m.w->type == Type::FP8_E4M3;
  __m256 sums[2][T];
  float* y = m.y + token * m.y_stride + row - m.row_begin;
  const __m256i mask[2] = {first_lanes(clamp8(m.row_end - row)),
                           first_lanes(clamp8(m.row_end - row - 8))};
  const int64_t second = m.row_end - row > 8 ? 8 : 0;  // a valid address even if all is masked
  for (int t = 0; t < T; ++t) {
    const float* p = y + t * m.y_stride;
    sums[0][t] = begin == 0 ? _mm256_setzero_ps() : _mm256_maskload_ps(p, mask[0]);
    sums[1][t] = begin == 0 ? _mm256_setzero_ps() : _mm256_maskload_ps(p + second, mask[1]);
  }
  if (!fp8) {
    panel_steps<T>(panel, x, count, sums);
  } else {
    int64_t rows[16];
    row_numbers(m, row, 16, rows);
    for (int64_t i = 0; i < count; i += fp8_tile) {
      __m256 tile[2][T];
      for (int g = 0; g < 2; ++g)
        for (int t = 0; t < T; ++t) tile[g][t] = _mm256_setzero_ps();
      panel_steps<T>(panel + 16 * i, x + i, count - i < fp8_tile ? count - i : fp8_tile, tile);
      for (int g = 0; g < 2; ++g) {
        const __m256 scale = row_scales(*m.w, rows + 8 * g, begin + i);
        for (int t = 0; t < T; ++t) sums[g][t] = _mm256_fmadd_ps(scale, tile[g][t], sums[g][t]);
      }
    }
  }
  for (int t = 0; t < T; ++t) {
    float* p = y + t * m.y_stride;
    _mm256_maskstore_ps(p, mask[0], sums[0][t]);
    _mm256_maskstore_ps(p + second, mask[1], sums[1][t]);
  }
}

// All rows with tokens [t0, t0 + n), n <= 48.
__attribute__((noinline)) void panels(const Matmul& m, int64_t t0, int64_t n) {
  alignas(64) float x[token_group * part];
  alignas(64) float panel[16 * part];
  alignas(64) uint16_t scratch[16 * part];
  const int64_t k = m.w->cols;
  for (int64_t begin = 0; begin < k; begin += part) {
    const int64_t count = k - begin < part ? k - begin : part;
    const int64_t padded = (count + step - 1) / step * step;
    for (int64_t t = 0; t < n; ++t) {
      const uint16_t* from = activation(m, t0 + t) + begin;
      for (int64_t i = 0; i < padded; i += 8)
        _mm256_store_ps(x + t * part + i, load_bf16(from + i));
    }
    for (int64_t row = m.row_begin; row < m.row_end; row += 16) {
      int64_t rows[16];
      const uint16_t* p[16];
      row_numbers(m, row, 16, rows);
      find_weights(*m.w, rows, 16, begin, count, scratch, p);
      pack(p, padded, panel);
      int64_t t = 0;
      for (; t + 3 <= n; t += 3)
        panel_tokens<3>(m, panel, x + t * part, row, begin, padded, t0 + t);
      if (n - t == 2) panel_tokens<2>(m, panel, x + t * part, row, begin, padded, t0 + t);
      if (n - t == 1) panel_tokens<1>(m, panel, x + t * part, row, begin, padded, t0 + t);
    }
  }
}

}  // namespace

void matmul_bf16(const Matmul& m) {
  const Flushing flushing;
  if (m.n >= panel_tokens_min) {
    for (int64_t t = 0; t < m.n; t += token_group)
      panels(m, t, m.n - t < token_group ? m.n - t : token_group);
  } else if (m.n == 2) {
    stream<2>(m);
  } else if (m.n == 1) {
    stream<1>(m);
  }
}

}  // namespace hadal::kernels::avx2
