// Scores of attention: four queries meet four keys in registers, so that a key is brought to floats
// once for all four; what is read next is fetched meanwhile.
#include "kernels/avx512/float_entries.h"
#include "kernels/avx512/lanes.h"
#include "kernels/tables.h"

namespace hadal::kernels::HADAL_WIDE {
namespace {

using quant::Type;

constexpr int group = 4;       // queries, and keys
constexpr int keys_once = 16;  // whose scores are stored together
// With more queries, BF16 keys are worth a decoding pass.
constexpr int64_t bf16_queries_max = 12;

template <Type type>
HADAL_OP Floats load_key(const char* p, int lanes) {
  if constexpr (type == Type::F32) {
    const auto* floats = reinterpret_cast<const float*>(p);
    return lanes == 16 ? load_floats(floats) : load_floats_first(floats, lanes);
  } else {
    if (lanes == 16) return load_bf16(p);
    alignas(64) char rest[64];
    store(rest, load_first(p, 2 * lanes));
    return load_bf16(rest);
  }
}

template <int control>
HADAL_OP Floats quarters(Floats a, Floats b) {
  return as_floats(shuffle_quarters<control>(as_ints(a), as_ints(b)));
}

// Lanes of sixteen sums, added 8, 4, 2 and 1 apart. Quarter t of the result has the sums of query
// t with the four keys; sum[key][query].
HADAL_OP Floats add_lanes(const Floats (*sum)[group]) {
  return add_1_apart(add_2_apart(add_four(sum[0]), add_four(sum[2])),
                     add_2_apart(add_four(sum[1]), add_four(sum[3])));
}

// Quarter t of v[i] becomes quarter i of v[t].
HADAL_OP void transpose_quarters(Floats* v) {
  const Floats a = quarters<0x44>(v[0], v[1]), b = quarters<0x44>(v[2], v[3]);
  const Floats c = quarters<0xee>(v[0], v[1]), d = quarters<0xee>(v[2], v[3]);
  v[0] = quarters<0x88>(a, b);
  v[1] = quarters<0xdd>(a, b);
  v[2] = quarters<0x88>(c, d);
  v[3] = quarters<0xdd>(c, d);
}

template <Type type>
HADAL_OP void add_products(const float* const* q, const char* const* key, int64_t c, int lanes,
                           Floats (*sum)[group]) {
  constexpr int64_t bytes = type == Type::F32 ? 4 : 2;
  Floats x[group];
#pragma GCC unroll 4
  for (int t = 0; t < group; ++t)
    x[t] = lanes == 16 ? load_floats(q[t] + c) : load_floats_first(q[t] + c, lanes);
#pragma GCC unroll 4
  for (int r = 0; r < group; ++r) {
    const Floats k = in_register(load_key<type>(key[r] + c * bytes, lanes));
#pragma GCC unroll 4
    for (int t = 0; t < group; ++t) sum[r][t] = fma(k, x[t], sum[r][t]);
  }
}

// Four queries with all keys.
template <Type type>
void four_queries(const float* q, int64_t q_stride, const Rows& keys, const char* follow,
                  int64_t width, float scale, float* s, int64_t s_stride) {
  constexpr int64_t bytes = type == Type::F32 ? 4 : 2;
  const int64_t row_bytes = keys.stride * bytes;
  const float* queries[group];
#pragma GCC unroll 4
  for (int t = 0; t < group; ++t) queries[t] = q + t * q_stride;
  for (int64_t first = 0; first < keys.count; first += keys_once) {
    const int64_t count = keys.count - first < keys_once ? keys.count - first : keys_once;
    Floats scores[keys_once / group];
    for (int i = 0; i < keys_once / group; ++i) scores[i] = zero_floats();
    for (int64_t j = 0; j < count; j += group) {
      const int64_t at = first + j;
      const char* key[group];
#pragma GCC unroll 4
      for (int r = 0; r < group; ++r) {
        const int64_t position = at + r < keys.count ? at + r : at;
        key[r] = static_cast<const char*>(keys.data) + position * row_bytes;
      }
      Floats sum[group][group];
#pragma GCC unroll 4
      for (int r = 0; r < group; ++r) {
#pragma GCC unroll 4
        for (int t = 0; t < group; ++t) sum[r][t] = zero_floats();
      }
      int64_t c = 0;
      for (; c + 16 <= width; c += 16) {
        if (follow != nullptr && c * bytes % 64 == 0) {
          prefetch_near(follow + at * row_bytes + c * bytes);
          prefetch_near(follow + (at + 2) * row_bytes + c * bytes);
        }
        add_products<type>(queries, key, c, 16, sum);
      }
      if (c < width) add_products<type>(queries, key, c, static_cast<int>(width - c), sum);
      scores[j / group] = mul_floats(set_floats(scale), add_lanes(sum));
    }
    transpose_quarters(scores);
    for (int t = 0; t < group; ++t)
      store_floats_first(s + t * s_stride + first, static_cast<int>(count), scores[t]);
  }
}

}  // namespace

void attention_scores(const float* q, int64_t q_stride, int64_t queries, const Rows* keys,
                      int64_t width, float scale, float* s, int64_t s_stride) {
  const bool is_float = keys->type == Type::F32;
  int64_t i = 0;
  if (is_float || queries <= bf16_queries_max) {
    for (; i + group <= queries; i += group) {
      const auto* follow = i == 0 ? static_cast<const char*>(keys->follow) : nullptr;
      (is_float ? four_queries<Type::F32> : four_queries<Type::BF16>)(q + i * q_stride, q_stride,
                                                                      *keys, follow, width, scale,
                                                                      s + i * s_stride, s_stride);
    }
  }
  if (i == queries) return;
  const Matrix w = {keys->type, keys->data, keys->count, width, keys->stride * (is_float ? 4 : 2),
                    nullptr,    0};
  matmul_scaled({&w, 0, keys->count, Activation::f32, q + i * q_stride, q_stride * 4, queries - i,
                 s + i * s_stride, s_stride},
                scale);
}

}  // namespace hadal::kernels::HADAL_WIDE
