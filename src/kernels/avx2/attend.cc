// Attention on BF16 by vectors of floats that flush as tiles do. Scores stand with queries side by
// side, [position][16], so that the softmax needs no sums across a vector; values with their
// columns side by side.
#include "kernels/attend.h"

#include "kernels/avx2/simd.h"

namespace hadal::kernels::avx2 {
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
    for (; c + 8 <= width; c += 8) _mm256_storeu_ps(to + c, load_bf16(row + c));
    for (; c < width; ++c) to[c] = bf16_to_float(row[c]);
    for (; c < out_stride; ++c) to[c] = 0.0f;
  }
}

// Scores of four positions and eight queries.
inline void score(const uint16_t* q, const float* keys, int64_t stride, int64_t pairs, float* s) {
  __m256 sum[4];
#pragma GCC unroll 4
  for (auto& x : sum) x = _mm256_setzero_ps();
  for (int64_t first = 0; first < pairs; first += attend_step / 2) {
    __m256 even[4], odd[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) even[j] = odd[j] = _mm256_setzero_ps();
    const int64_t end = pairs < first + attend_step / 2 ? pairs : first + attend_step / 2;
    for (int64_t i = first; i < end; ++i) {
      const __m256i pair = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(q + 2 * group * i));
      const __m256 q0 = _mm256_castsi256_ps(_mm256_slli_epi32(pair, 16));
      const __m256 q1 = _mm256_castsi256_ps(
          _mm256_and_si256(pair, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        const float* key = keys + j * stride + 2 * i;
        even[j] = _mm256_fmadd_ps(q0, _mm256_broadcast_ss(key), even[j]);
        odd[j] = _mm256_fmadd_ps(q1, _mm256_broadcast_ss(key + 1), odd[j]);
      }
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) sum[j] = _mm256_add_ps(sum[j], _mm256_add_ps(even[j], odd[j]));
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) _mm256_storeu_ps(s + j * group, sum[j]);
}

__attribute__((noinline)) void scores(const Attend& a, const Parts& parts, int64_t first,
                                      int64_t positions, float* s) {
  const FlushSubnormals flush;
  const uint16_t* q = a.q + first * parts.key_stride;
  const int64_t halves = a.queries - first > 8 ? 2 : 1;
  for (int64_t j = 0; j < positions; j += 4)
    for (int64_t half = 0; half < halves; ++half)
      score(q + 16 * half, parts.keys + j * parts.key_stride, parts.key_stride, (a.width + 1) / 2,
            s + j * group + 8 * half);
}

// attend_weight, rounded, of eight.
inline __m256 weight(__m256 x) {
  const __m256 magic = _mm256_set1_ps(weight_magic);
  const __m256 shifted = _mm256_add_ps(x, magic);
  const __m256 f = _mm256_sub_ps(x, _mm256_sub_ps(shifted, magic));
  __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(weight_c4), f, _mm256_set1_ps(weight_c3));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(weight_c2));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(weight_c1));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1.0f));
  const __m256i bits =
      _mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(shifted), 23));
  const __m256 low = _mm256_cmp_ps(x, _mm256_set1_ps(weight_lowest), _CMP_LT_OQ);
  return _mm256_andnot_ps(low, _mm256_castsi256_ps(bits));
}

inline __m256 rounded(__m256 w) {
  const __m256i up = _mm256_add_epi32(_mm256_castps_si256(w), _mm256_set1_epi32(0x8000));
  return _mm256_castsi256_ps(
      _mm256_and_si256(up, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
}

// Scores of eight queries to weights, in place; the queries' states move on. factors: what their
// outputs so far are multiplied by.
void softmax8(const Attend& a, int64_t first, int64_t positions, float* s, float* factors) {
  const int64_t count = clamp8(a.queries - first);
  alignas(32) int32_t seen[8];
  alignas(32) float max[8] = {}, sum[8] = {};
  bool all = true;
  for (int64_t i = 0; i < 8; ++i) {
    seen[i] = static_cast<int32_t>(a.seen + (first + i) / a.per_position);
    all = all && seen[i] >= positions;
    if (i >= count) continue;
    max[i] = a.state[2 * (first + i)];
    sum[i] = a.state[2 * (first + i) + 1];
  }
  const __m256 lowest = _mm256_set1_ps(-__builtin_inff());
  if (!all) {
    const __m256i seen_by = _mm256_load_si256(reinterpret_cast<const __m256i*>(seen));
    for (int64_t j = 0; j < positions; ++j) {
      const __m256i sees = _mm256_cmpgt_epi32(seen_by, _mm256_set1_epi32(static_cast<int>(j)));
      const __m256 score = _mm256_loadu_ps(s + j * group);
      _mm256_storeu_ps(s + j * group, _mm256_blendv_ps(lowest, score, _mm256_castsi256_ps(sees)));
    }
  }
  __m256 top = lowest;
  for (int64_t j = 0; j < positions; ++j) top = _mm256_max_ps(_mm256_loadu_ps(s + j * group), top);
  const __m256 scale = _mm256_set1_ps(a.scale);
  const __m256 old_max = _mm256_load_ps(max);
  const __m256 new_max = _mm256_max_ps(_mm256_mul_ps(scale, top), old_max);
  __m256 total = _mm256_setzero_ps();
  for (int64_t j = 0; j < positions; ++j) {
    const __m256 x = _mm256_fmsub_ps(scale, _mm256_loadu_ps(s + j * group), new_max);
    const __m256 w = rounded(weight(x));
    _mm256_storeu_ps(s + j * group, w);
    total = _mm256_add_ps(total, w);
  }
  const __m256 factor = weight(_mm256_sub_ps(old_max, new_max));
  _mm256_storeu_ps(factors, factor);
  _mm256_store_ps(sum, _mm256_fmadd_ps(_mm256_load_ps(sum), factor, total));
  _mm256_store_ps(max, new_max);
  for (int64_t i = 0; i < count; ++i) {
    if (seen[i] <= 0) continue;
    a.state[2 * (first + i)] = max[i];
    a.state[2 * (first + i) + 1] = sum[i];
  }
}

// Weights p of queries and positions, each so far apart.
struct Weights {
  const float* p;
  int64_t query_stride, position_stride;
  __m256 at(int64_t query, int64_t position) const {
    return _mm256_broadcast_ss(p + query * query_stride + position * position_stride);
  }
};

// What the page adds to eight columns of four queries' outputs.
inline void add_values(const Weights p, const float* values, int64_t stride, int64_t positions,
                       float* out, int64_t out_stride) {
  __m256 sum[4];
#pragma GCC unroll 4
  for (auto& x : sum) x = _mm256_setzero_ps();
  for (int64_t first = 0; first < positions; first += attend_step) {
    __m256 even[4], odd[4];
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) even[q] = odd[q] = _mm256_setzero_ps();
    const int64_t end = positions < first + attend_step ? positions : first + attend_step;
    int64_t j = first;
    for (; j + 2 <= end; j += 2) {
      const __m256 v0 = _mm256_loadu_ps(values + j * stride);
      const __m256 v1 = _mm256_loadu_ps(values + (j + 1) * stride);
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q) {
        even[q] = _mm256_fmadd_ps(p.at(q, j), v0, even[q]);
        odd[q] = _mm256_fmadd_ps(p.at(q, j + 1), v1, odd[q]);
      }
    }
    if (j < end) {
      const __m256 v0 = _mm256_loadu_ps(values + j * stride);
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q) even[q] = _mm256_fmadd_ps(p.at(q, j), v0, even[q]);
    }
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) sum[q] = _mm256_add_ps(sum[q], _mm256_add_ps(even[q], odd[q]));
  }
#pragma GCC unroll 4
  for (int q = 0; q < 4; ++q) _mm256_storeu_ps(out + q * out_stride, sum[q]);
}

// The same to whole outputs, columns a multiple of eight.
__attribute__((noinline)) void add_all_values(const Weights p, const float* values, int64_t stride,
                                              int64_t positions, int64_t columns, int64_t queries,
                                              float* out, int64_t out_stride) {
  const FlushSubnormals flush;
  for (int64_t q = 0; q < queries; q += 4)
    for (int64_t c = 0; c < columns; c += 8)
      add_values({p.p + q * p.query_stride, p.query_stride, p.position_stride}, values + c, stride,
                 positions, out + q * out_stride + c, out_stride);
}

void add_output(const float* out, float factor, int64_t width, float* o) {
  int64_t c = 0;
  for (; c + 8 <= width; c += 8)
    _mm256_storeu_ps(o + c, _mm256_fmadd_ps(_mm256_loadu_ps(o + c), _mm256_set1_ps(factor),
                                            _mm256_loadu_ps(out + c)));
  for (; c < width; ++c) o[c] = __builtin_fmaf(o[c], factor, out[c]);
}

}  // namespace

void attend(const Attend& a) {
  const Parts parts(a);
  decode(a.keys, a.key_stride, a.positions, a.width, parts.keys, parts.key_stride);
  decode(a.values, a.value_stride, a.positions, a.value_width, parts.values, parts.value_stride);
  alignas(64) float s[attend_page * group], factors[group];
  for (int64_t first = 0; first < a.queries; first += group) {
    const int64_t count = a.queries - first < group ? a.queries - first : group;
    const int64_t seen = a.seen + (first + count - 1) / a.per_position;  // by the last
    const int64_t positions = seen < a.positions ? seen : a.positions;
    if (positions <= 0) continue;
    scores(a, parts, first, positions, s);
    for (int64_t half = 0; half < count; half += 8)
      softmax8(a, first + half, positions, s + half, factors + half);
    add_all_values({s, 1, group}, parts.values, parts.value_stride, positions, parts.value_stride,
                   count, parts.out, parts.value_stride);
    for (int64_t i = 0; i < count; ++i)
      if (a.seen + (first + i) / a.per_position > 0)
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
  for (int64_t t = 0; t < m.n; t += 4) {
    alignas(32) float rest[4 * 8];
    const int64_t count = m.n - t < 4 ? m.n - t : 4;
    const Weights weights = {x + t * x_stride, x_stride, 1};
    const int64_t whole = count == 4 ? m.cols / 8 * 8 : 0;
    add_all_values(weights, w, w_stride, m.rows, whole, 4, m.y + t * m.y_stride, m.y_stride);
    for (int64_t c = whole; c < m.cols; c += 8) {
      add_all_values(weights, w + c, w_stride, m.rows, 8, 4, rest, 8);
      for (int64_t i = 0; i < count; ++i)
        for (int64_t k = 0; k < 8 && c + k < m.cols; ++k)
          m.y[(t + i) * m.y_stride + c + k] = rest[8 * i + k];
    }
  }
}

void pack_queries(const float* q, int64_t stride, int64_t queries, int64_t width, uint16_t* out) {
  const int64_t pairs = attend_padded(width, attend_step) / 2;
  for (int64_t first = 0; first < queries; first += group) {
    auto* words = reinterpret_cast<uint32_t*>(out + first * 2 * pairs);
    for (int64_t i = 0; i < group; ++i) {
      const float* row = q + (first + i) * stride;
      const int64_t n = first + i < queries ? width : 0;
      int64_t k = 0;
      for (; k + 8 <= n; k += 8) {
        alignas(16) uint32_t four[4];
        const __m256i r = round_to_bf16(_mm256_loadu_ps(row + k));
        const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(r, r), 0x08);
        _mm_store_si128(reinterpret_cast<__m128i*>(four), _mm256_castsi256_si128(packed));
        for (int64_t w = 0; w < 4; ++w) words[(k / 2 + w) * group + i] = four[w];
      }
      for (; k < 2 * pairs; k += 2) {
        const uint32_t low = k < n ? hadal::float_to_bf16(row[k]) : 0;
        const uint32_t high = k + 1 < n ? hadal::float_to_bf16(row[k + 1]) : 0;
        words[k / 2 * group + i] = low | high << 16;
      }
    }
  }
}

}  // namespace hadal::kernels::avx2
