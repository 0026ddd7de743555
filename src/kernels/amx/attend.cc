// Attention on BF16 by tiles. Scores: sixteen positions of keys, as they lie, times packed queries,
// C [position][query]. Values: weights [query][position] times values whose rows are interleaved by
// pairs, C [query][column].
#include "kernels/avx512/attend.h"

#include "kernels/amx/values.h"
#include "kernels/avx512/attend_entries.h"
#include "kernels/avx512/transpose.h"

namespace hadal::kernels::HADAL_WIDE {
namespace {

constexpr int64_t group = attend_group;

// Columns that go through the tiles together.
constexpr int64_t block = 64;

// Where a page's values lie for tiles: blocks of 64 columns, [step of 32 positions][column /
// 16][pair of positions][16 columns][2], zeros behind the positions and columns that there are. In
// a ring the blocks take turns in two places, which stay in the nearest cache.
struct PackedValues {
  char* of(int64_t column) const {
    const int64_t place = column / block & (ring ? 1 : ~int64_t{0});
    return data + place * (2 * 4 * tile_bytes) + column % block / 16 * tile_bytes;
  }
  char* data;
  bool ring;
};

HADAL_OP void pack_block(const Attend& a, int64_t first_column, const PackedValues& out) {
  const int64_t end = a.value_width < first_column + block ? a.value_width : first_column + block;
  for (int64_t c = first_column; c < end; c += 32) {
    for (int64_t j = 0; j < a.positions; j += attend_step) {
      char* to = out.of(c) + j / attend_step * (4 * tile_bytes);
      pack_rows(a.values + j * a.value_stride + c, a.value_stride, a.positions - j,
                a.value_width - c, to, to + tile_bytes);
    }
  }
}

// Fetches what will be read next, from memory to the second cache, a wave at a time: each wave asks
// for the next two lines of every 4 KB. The processor's own prefetcher takes each 4 KB for
// a stream and runs ahead of it, which costs none of the few buffers that loads wait in; line after
// line it would be these that limit (docs/lab-log.md).
class Ahead {
 public:
  Ahead(const Attend& a, int64_t slots)
      : at_(static_cast<const char*>(a.follow)),
        bytes_(a.follow_bytes),
        waves_((waves_in_page + slots - 1) / slots) {}

  // To be called `slots` times while a page is worked on.
  void next() {
    if (at_ == nullptr) return;
    for (int64_t i = 0; i < waves_ && line_ < stream_lines;
         ++i, line_ += stream_lines / waves_in_page)
      for (int64_t stream = 0; stream < bytes_; stream += 64 * stream_lines) {
        prefetch_far(at_ + stream + 64 * line_);
        prefetch_far(at_ + stream + 64 * line_ + 64);
      }
  }

 private:
  static constexpr int64_t stream_lines = 64, waves_in_page = 32;
  const char* at_;
  int64_t bytes_, waves_;
  int64_t line_ = 0;
};

// Scores of 16 * count positions. A page that is met for the first time comes from the second
// cache: its lines are fetched a step ahead, since loads of tiles wait for each other.
template <int count, bool fresh>
HADAL_OP void score(const Attend& a, const uint16_t* q, Ahead& ahead, float* s) {
  tile_zero<0>();
  if constexpr (count > 1) tile_zero<1>();
  if constexpr (count > 2) tile_zero<2>();
  if constexpr (count > 3) tile_zero<3>();
  const int64_t stride = 2 * a.key_stride;
  const auto* key = reinterpret_cast<const char*>(a.keys);
  const auto* query = reinterpret_cast<const char*>(q);
  const int64_t width = a.width;
  for (int64_t k = 0; k < width; k += attend_step, key += 64, query += tile_bytes) {
    if (fresh && k % (3 * attend_step) == 0) ahead.next();
    tile_load<4>(query, 64);
    tile_load<5>(key, stride);
    tile_dot_bf16<0, 5, 4>();
    if constexpr (count > 1) {
      tile_load<6>(key + 16 * stride, stride);
      tile_dot_bf16<1, 6, 4>();
    }
    if constexpr (count > 2) {
      tile_load<7>(key + 32 * stride, stride);
      tile_dot_bf16<2, 7, 4>();
    }
    if constexpr (count > 3) {
      tile_load<5>(key + 48 * stride, stride);
      tile_dot_bf16<3, 5, 4>();
    }
  }
  tile_store<0>(s, 64);
  if constexpr (count > 1) tile_store<1>(s + 256, 64);
  if constexpr (count > 2) tile_store<2>(s + 512, 64);
  if constexpr (count > 3) tile_store<3>(s + 768, 64);
}

template <bool fresh>
void scores(const Attend& a, const Group& g, Ahead& ahead, float* s) {
  const uint16_t* q = a.q + g.first * attend_padded(a.width, attend_step);
  switch ((g.positions + 15) / 16) {
    case 1:
      return score<1, fresh>(a, q, ahead, s);
    case 2:
      return score<2, fresh>(a, q, ahead, s);
    case 3:
      return score<3, fresh>(a, q, ahead, s);
    default:
      return score<4, fresh>(a, q, ahead, s);
  }
}

// Weights w [position][16], rounded, to [query][32 positions] BF16 for each 32 positions.
void pack_weights(const float* w, int64_t positions, char* out) {
  for (int64_t first = 0; first < positions; first += attend_step, out += tile_bytes) {
    Ints pairs[16];
    for (int i = 0; i < 16; ++i) {
      const int64_t j = first + 2 * i;
      const Ints x = j < positions ? load(w + j * group) : zero();
      const Ints y = j + 1 < positions ? load(w + (j + 1) * group) : zero();
      pairs[i] = bit_or(shift_right32<16>(x), y);
    }
    transpose16(pairs);
    for (int i = 0; i < 16; ++i) store(out + 64 * i, pairs[i]);
  }
}

// What the page adds to 16 * count columns: sums [count][query][16].
template <int count, int steps>
HADAL_OP void add_values(const char* values, float* sums) {
  tile_zero<0>();
  if constexpr (count > 1) tile_zero<1>();
  if constexpr (count > 2) tile_zero<2>();
  if constexpr (count > 3) tile_zero<3>();
  const auto step = [&]<int weights>(const char* v) {
    tile_load<4>(v, 64);
    tile_dot_bf16<0, weights, 4>();
    if constexpr (count > 1) {
      tile_load<5>(v + tile_bytes, 64);
      tile_dot_bf16<1, weights, 5>();
    }
    if constexpr (count > 2) {
      tile_load<4>(v + 2 * tile_bytes, 64);
      tile_dot_bf16<2, weights, 4>();
    }
    if constexpr (count > 3) {
      tile_load<5>(v + 3 * tile_bytes, 64);
      tile_dot_bf16<3, weights, 5>();
    }
  };
  step.template operator()<6>(values);
  if constexpr (steps > 1) step.template operator()<7>(values + 4 * tile_bytes);
  tile_store<0>(sums, 64);
  if constexpr (count > 1) tile_store<1>(sums + 256, 64);
  if constexpr (count > 2) tile_store<2>(sums + 512, 64);
  if constexpr (count > 3) tile_store<3>(sums + 768, 64);
}

// The outputs of a group: columns [first, first + 16 * count) of each.
template <int count, int steps>
HADAL_OP void add_columns(const Attend& a, const Group& g, const PackedValues& values,
                          int64_t first, uint32_t blind, const float* factors) {
  alignas(64) float sums[count * 256];
  add_values<count, steps>(values.of(first), sums);
  const int queries = g.count;
  const int64_t stride = a.o_stride;
  const int64_t rest = a.value_width - first;
  float* o = a.o + g.first * stride + first;
  for (int i = 0; i < queries; ++i, o += stride) {
    if (blind >> i & 1) continue;
    const Floats factor = set_floats(factors[i]);
#pragma GCC unroll 4
    for (int c = 0; c < count; ++c) {
      const Floats added = load_floats(sums + 256 * c + 16 * i);
      const int n = static_cast<int>(rest - 16 * c);
      if (c + 1 < count || n >= 16)
        store_floats(o + 16 * c, fma(load_floats(o + 16 * c), factor, added));
      else
        store_floats_first(o + 16 * c, n, fma(load_floats_first(o + 16 * c, n), factor, added));
    }
  }
}

template <int steps>
HADAL_OP void add_outputs(const Attend& a, const Group& g, const PackedValues& values,
                          const char* weights, Ahead& ahead, uint32_t blind, const float* factors) {
  tile_load<6>(weights, 64);
  if constexpr (steps > 1) tile_load<7>(weights + tile_bytes, 64);
  if (values.ring) pack_block(a, 0, values);
  int64_t c = 0;
  for (; c + 48 < a.value_width; c += block) {
    if (values.ring) pack_block(a, c + block, values);  // the next, while the tiles are busy
    ahead.next();
    add_columns<4, steps>(a, g, values, c, blind, factors);
  }
  const int64_t rest = a.value_width - c;
  if (rest > 32)
    add_columns<3, steps>(a, g, values, c, blind, factors);
  else if (rest > 16)
    add_columns<2, steps>(a, g, values, c, blind, factors);
  else if (rest > 0)
    add_columns<1, steps>(a, g, values, c, blind, factors);
}

}  // namespace

void attend_tiles(const Attend& a) {
  configure_whole_tiles();
  const bool once = a.queries <= group;
  const PackedValues values{static_cast<char*>(a.scratch), once};
  if (!once)
    for (int64_t c = 0; c < a.value_width; c += block) pack_block(a, c, values);
  Ahead ahead(a, a.width / (3 * attend_step) + a.value_width / block + 2);
  alignas(64) float s[attend_page * group], factors[group];
  alignas(64) char weights[2 * tile_bytes];
  for (int64_t first = 0; first < a.queries; first += group) {
    const Group g(a, first);
    if (g.positions <= 0) continue;
    if (once)
      scores<true>(a, g, ahead, s);
    else
      scores<false>(a, g, ahead, s);
    ahead.next();
    const uint32_t blind = softmax(a, g, s, factors);
    ahead.next();
    pack_weights(s, g.positions, weights);
    if (g.positions > attend_step)
      add_outputs<2>(a, g, values, weights, ahead, blind, factors);
    else
      add_outputs<1>(a, g, values, weights, ahead, blind, factors);
  }
  tile_release();
}

}  // namespace hadal::kernels::HADAL_WIDE
