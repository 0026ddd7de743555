// dot16 products. Eight rows are decoded to floats, 768 columns at a time, and meets the
// activations in registers, 2 rows x 3 tokens (12 accumulators: enough to hide fma's latency, and
// fewer loads than fmas). Each output keeps its 16 lanes between the pieces in a buffer, so the
// order of its sums is that of dot16. Single activations skip the decoding pass for plain types.
#include "base/scalar.h"
#include "kernels/avx2/simd.h"

namespace hadal::kernels::avx2 {
namespace {

using quant::Type;

// Columns of a piece: whole blocks and FP8 tiles, and all of a 576 wide key. Eight rows are 24 KiB.
constexpr int64_t part = 768;
constexpr int64_t row_group = 8;
constexpr int64_t token_group = 48;  // 8 x 48 outputs' lanes: 24 KiB
constexpr int64_t fp8_tile = 128;

struct Lanes {
  __m256 low, high;
};

// Eight weights of a plain type.
template <Type type>
inline __m256 load8(const char* p) {
  if constexpr (type == Type::F32) return _mm256_loadu_ps(reinterpret_cast<const float*>(p));
  if constexpr (type == Type::F16) return load_f16(p);
  if constexpr (type == Type::BF16) return load_bf16(p);
}

inline float decode1(Type type, const char* p) {
  uint16_t h;
  if (type == Type::F32) {
    float x;
    __builtin_memcpy(&x, p, 4);
    return x;
  }
  __builtin_memcpy(&h, p, 2);
  return type == Type::F16 ? f16_to_float(h) : bf16_to_float(h);
}

template <Type type>
void decode_plain(const char* p, int64_t count, float* out) {
  constexpr int64_t bytes = type == Type::F32 ? 4 : 2;
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(out + i, load8<type>(p + i * bytes));
  for (; i < count; ++i) out[i] = decode1(type, p + i * bytes);
}

// e4m3 shifted into place is an F16 with the same mantissa and an exponent 8 lower.
void decode_fp8(const Matrix& w, int64_t row, int64_t begin, int64_t count, float* out) {
  const auto* p = static_cast<const uint8_t*>(w.data) + row * w.row_bytes + begin;
  const float* scales = w.scales + row / fp8_tile * w.scale_stride + begin / fp8_tile;
  int64_t i = 0;
  while (i < count) {
    const float s = scales[i / fp8_tile];
    const __m256 scale = _mm256_set1_ps(s), lift = _mm256_set1_ps(256.0f);
    const int64_t end = i + fp8_tile < count ? i + fp8_tile : count;
    for (; i + 8 <= end; i += 8) {
      const __m128i b = _mm_cvtepu8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + i)));
      const __m128i sign = _mm_slli_epi16(_mm_and_si128(b, _mm_set1_epi16(0x80)), 8);
      const __m128i rest = _mm_slli_epi16(_mm_and_si128(b, _mm_set1_epi16(0x7f)), 7);
      const __m256 code = _mm256_mul_ps(_mm256_cvtph_ps(_mm_or_si128(sign, rest)), lift);
      _mm256_storeu_ps(out + i, _mm256_mul_ps(code, scale));
    }
    for (; i < end; ++i) out[i] = fp8_e4m3_to_float(p[i]) * s;
  }
}

// lanes[r][t] += rows r times tokens t, over k columns (zeros beyond k up to a multiple of 16).
template <int R, int T>
inline void tile(const float* const* w, const float* const* x, int64_t k, Lanes* lanes,
                 int64_t lanes_stride) {
  __m256 low[R][T], high[R][T];
  for (int r = 0; r < R; ++r) {
    for (int t = 0; t < T; ++t) {
      low[r][t] = lanes[r * lanes_stride + t].low;
      high[r][t] = lanes[r * lanes_stride + t].high;
    }
  }
  int64_t i = 0;
  for (; i + 16 <= k; i += 16) {
    __m256 w0[R], w1[R];
    for (int r = 0; r < R; ++r) {
      w0[r] = _mm256_loadu_ps(w[r] + i);
      w1[r] = _mm256_loadu_ps(w[r] + i + 8);
    }
    for (int t = 0; t < T; ++t) {
      const __m256 x0 = _mm256_loadu_ps(x[t] + i), x1 = _mm256_loadu_ps(x[t] + i + 8);
      for (int r = 0; r < R; ++r) {
        low[r][t] = _mm256_fmadd_ps(w0[r], x0, low[r][t]);
        high[r][t] = _mm256_fmadd_ps(w1[r], x1, high[r][t]);
      }
    }
  }
  if (i < k) {
    const __m256i m0 = first_lanes(clamp8(k - i)), m1 = first_lanes(clamp8(k - i - 8));
    const int64_t second = k - i > 8 ? i + 8 : i;  // a valid address even if all is masked
    for (int r = 0; r < R; ++r) {
      const __m256 w0 = _mm256_maskload_ps(w[r] + i, m0);
      const __m256 w1 = _mm256_maskload_ps(w[r] + second, m1);
      for (int t = 0; t < T; ++t) {
        low[r][t] = _mm256_fmadd_ps(w0, _mm256_maskload_ps(x[t] + i, m0), low[r][t]);
        high[r][t] = _mm256_fmadd_ps(w1, _mm256_maskload_ps(x[t] + second, m1), high[r][t]);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int t = 0; t < T; ++t) lanes[r * lanes_stride + t] = {low[r][t], high[r][t]};
  }
}

// T tokens, which stay in the nearest cache, with all rows.
template <int T>
inline void tile_rows(const float* const* w, int64_t rows, const float* const* x, int64_t k,
                      Lanes* lanes) {
  int64_t r = 0;
  for (; r + 2 <= rows; r += 2) tile<2, T>(w + r, x, k, lanes + r * token_group, token_group);
  if (r < rows) tile<1, T>(w + r, x, k, lanes + r * token_group, token_group);
}

inline const float* activation(const Matmul& m, int64_t t) {
  return reinterpret_cast<const float*>(static_cast<const char*>(m.x) + t * m.x_stride);
}

// Rows [row, row + rows), rows <= 8, with tokens [t0, t0 + n), n <= 48.
void block(const Matmul& m, int64_t row, int64_t rows, int64_t t0, int64_t n, float scale) {
  alignas(64) float panel[row_group * part];
  Lanes lanes[row_group * token_group];
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t t = 0; t < n; ++t) {
      lanes[r * token_group + t] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    }
  }
  const int64_t k = m.w->cols;
  for (int64_t begin = 0; begin < k; begin += part) {
    const int64_t count = k - begin < part ? k - begin : part;
    const float* w[row_group];
    for (int64_t r = 0; r < rows; ++r) {
      if (m.w->type == Type::F32) {
        w[r] = reinterpret_cast<const float*>(static_cast<const char*>(m.w->data) +
                                              (row + r) * m.w->row_bytes) +
               begin;
      } else {
        decode_floats(*m.w, row + r, begin, count, panel + r * part);
        w[r] = panel + r * part;
      }
    }
    const float* x[token_group];
    for (int64_t t = 0; t < n; ++t) x[t] = activation(m, t0 + t) + begin;
    int64_t t = 0;
    for (; t + 3 <= n; t += 3) tile_rows<3>(w, rows, x + t, count, lanes + t);
    if (n - t == 2) tile_rows<2>(w, rows, x + t, count, lanes + t);
    if (n - t == 1) tile_rows<1>(w, rows, x + t, count, lanes + t);
  }
  for (int64_t t = 0; t < n; ++t) {
    __m256 v[row_group];
    for (int64_t r = 0; r < row_group; ++r) {
      const Lanes& l = lanes[(r < rows ? r : 0) * token_group + t];
      v[r] = _mm256_add_ps(l.low, l.high);
    }
    float* y = m.y + (t0 + t) * m.y_stride + row - m.row_begin;
    _mm256_maskstore_ps(y, first_lanes(rows), _mm256_mul_ps(_mm256_set1_ps(scale), add_lanes8(v)));
  }
}

// One activation with R rows of a plain type: decoded in registers, streamed.
template <Type type, int R>
void stream(const Matmul& m, int64_t row, int64_t t, float scale) {
  constexpr int64_t bytes = type == Type::F32 ? 4 : 2;
  constexpr int64_t ahead = 1024;  // bytes that prefetches run in front
  const char* w[R];
  __m256 low[R], high[R];
  for (int r = 0; r < R; ++r) {
    w[r] = static_cast<const char*>(m.w->data) + (row + r) * m.w->row_bytes;
    low[r] = high[r] = _mm256_setzero_ps();
  }
  const float* x = activation(m, t);
  const int64_t k = m.w->cols;
  int64_t i = 0;
  for (; i + 16 <= k; i += 16) {
    const __m256 x0 = _mm256_loadu_ps(x + i), x1 = _mm256_loadu_ps(x + i + 8);
    for (int r = 0; r < R; ++r) {
      const char* p = w[r] + i * bytes;
      _mm_prefetch(p + ahead, _MM_HINT_T0);
      low[r] = _mm256_fmadd_ps(load8<type>(p), x0, low[r]);
      high[r] = _mm256_fmadd_ps(load8<type>(p + 8 * bytes), x1, high[r]);
    }
  }
  if (i < k) {
    float xs[16] = {}, ws[16] = {};
    for (int64_t j = i; j < k; ++j) xs[j - i] = x[j];
    for (int r = 0; r < R; ++r) {
      for (int64_t j = i; j < k; ++j) ws[j - i] = decode1(type, w[r] + j * bytes);
      low[r] = _mm256_fmadd_ps(_mm256_loadu_ps(ws), _mm256_loadu_ps(xs), low[r]);
      high[r] = _mm256_fmadd_ps(_mm256_loadu_ps(ws + 8), _mm256_loadu_ps(xs + 8), high[r]);
    }
  }
  for (int r = 0; r < R; ++r) {
    m.y[t * m.y_stride + row + r - m.row_begin] = scale * add_lanes(_mm256_add_ps(low[r], high[r]));
  }
}

template <Type type>
void stream_rows(const Matmul& m, float scale) {
  int64_t row = m.row_begin;
  for (; row + 4 <= m.row_end; row += 4) {
    for (int64_t t = 0; t < m.n; ++t) stream<type, 4>(m, row, t, scale);
  }
  for (; row < m.row_end; ++row) {
    for (int64_t t = 0; t < m.n; ++t) stream<type, 1>(m, row, t, scale);
  }
}

}  // namespace

void decode_floats(const Matrix& w, int64_t row, int64_t begin, int64_t count, float* out) {
  const char* p = static_cast<const char*>(w.data) + row * w.row_bytes;
  switch (w.type) {
    case Type::F32:
      return decode_plain<Type::F32>(p + begin * 4, count, out);
    case Type::F16:
      return decode_plain<Type::F16>(p + begin * 2, count, out);
    case Type::BF16:
      return decode_plain<Type::BF16>(p + begin * 2, count, out);
    case Type::FP8_E4M3:
      return decode_fp8(w, row, begin, count, out);
    default:
      return decode_integers(w, row, begin, count, out);
  }
}

void decode_row(const Matrix* w, int64_t row, float* out) {
  decode_floats(*w, row, 0, w->cols, out);
}

void matmul_float(const Matmul& m) {
  matmul_scaled(m, 1.0f);
}

void matmul_scaled(const Matmul& m, float scale) {
  if (m.n <= 2) {  // more tokens are worth a decoding pass
    if (m.w->type == Type::F32) return stream_rows<Type::F32>(m, scale);
    if (m.w->type == Type::F16) return stream_rows<Type::F16>(m, scale);
    if (m.w->type == Type::BF16) return stream_rows<Type::BF16>(m, scale);
  }
  for (int64_t t = 0; t < m.n; t += token_group) {
    const int64_t n = m.n - t < token_group ? m.n - t : token_group;
    for (int64_t row = m.row_begin; row < m.row_end; row += row_group) {
      const int64_t rows = m.row_end - row < row_group ? m.row_end - row : row_group;
      block(m, row, rows, t, n, scale);
    }
  }
}

}  // namespace hadal::kernels::avx2
