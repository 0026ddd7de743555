#include "quant/random_blocks.h"

#include <algorithm>

#include "base/error.h"
#include "quant/families.h"

namespace hadal::quant {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014): one multiply-rotate chain per 8 bytes, good enough for
// weights that nobody trains.
class Source {
 public:
  explicit Source(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  template <typename T>
  void fill(T& bytes) {
    static_assert(sizeof(T) % 8 == 0 || sizeof(T) == 4);
    char* out = reinterpret_cast<char*>(&bytes);
    for (size_t i = 0; i < sizeof(T); i += 8) {
      const uint64_t v = next();
      std::memcpy(out + i, &v, sizeof(T) < 8 ? sizeof(T) : 8);
    }
  }
  // Uniform in [-1, 1).
  float signed_unit() { return static_cast<float>(static_cast<int32_t>(next() >> 32)) * 0x1p-31f; }

 private:
  uint64_t state_;
};

// Root mean squares of the levels that uniform random bits give.
constexpr float rms_int8 = 73.9f;            // -128 .. 127
constexpr float rms_4bit = 4.61f;            // 0 .. 15 around 7.5
constexpr float rms_5bit = 9.23f;            // 0 .. 31 around 15.5
constexpr float rms_6bit = 18.5f;            // -32 .. 31
constexpr float rms_iq4 = 67.4f;             // the table of IQ4
constexpr float uniform_width = 1.7320508f;  // of a uniform distribution per deviation

// A scale of random sign: the levels of symmetric formats have a mean of -1/2, which then cancels
// between blocks.
uint16_t signed_scale(Source& source, float scale) {
  return float_to_f16(source.next() & 1 ? scale : -scale);
}

BlockQ8_0 make(Source& source, float deviation, BlockQ8_0*) {
  BlockQ8_0 b;
  b.d = signed_scale(source, deviation / rms_int8);
  source.fill(b.q);
  return b;
}

BlockQ4_0 make(Source& source, float deviation, BlockQ4_0*) {
  BlockQ4_0 b;
  b.d = signed_scale(source, deviation / rms_4bit);
  source.fill(b.q);
  return b;
}

BlockQ5_0 make(Source& source, float deviation, BlockQ5_0*) {
  BlockQ5_0 b;
  b.d = signed_scale(source, deviation / rms_5bit);
  source.fill(b.qh);
  source.fill(b.q);
  return b;
}

BlockQ5_1 make(Source& source, float deviation, BlockQ5_1*) {
  BlockQ5_1 b;
  b.d = float_to_f16(deviation / rms_5bit);
  b.m = float_to_f16(-15.5f * deviation / rms_5bit);
  source.fill(b.qh);
  source.fill(b.q);
  return b;
}

BlockIQ4_NL make(Source& source, float deviation, BlockIQ4_NL*) {
  BlockIQ4_NL b;
  b.d = signed_scale(source, deviation / rms_iq4);
  source.fill(b.q);
  return b;
}

BlockIQ4_XS make(Source& source, float deviation, BlockIQ4_XS*) {
  BlockIQ4_XS b;
  b.d = signed_scale(source, deviation / (rms_iq4 * rms_6bit));
  b.scales_h = static_cast<uint16_t>(source.next());
  source.fill(b.scales_l);
  source.fill(b.qs);
  return b;
}

// Scales 32..63 with equal minima, so that dmin = d * (mean level) centres every group.
void fill_k4_scales(Source& source, uint8_t scales[12]) {
  const uint64_t bits = source.next();
  for (int j = 0; j < 4; ++j) {
    const auto low = static_cast<uint8_t>(32 | (bits >> (5 * j) & 31));
    const auto high = static_cast<uint8_t>(32 | (bits >> (5 * j + 20) & 31));
    scales[j] = scales[j + 4] = static_cast<uint8_t>(low | (high >> 4) << 6);
    scales[j + 8] = static_cast<uint8_t>((high & 15) | (high & 15) << 4);
  }
}
constexpr float rms_k4_scale = 48.4f;

BlockQ4_K make(Source& source, float deviation, BlockQ4_K*) {
  BlockQ4_K b;
  const float d = deviation / (rms_4bit * rms_k4_scale);
  b.d = float_to_f16(d);
  b.dmin = float_to_f16(7.5f * d);
  fill_k4_scales(source, b.scales);
  source.fill(b.qs);
  return b;
}

BlockQ5_K make(Source& source, float deviation, BlockQ5_K*) {
  BlockQ5_K b;
  const float d = deviation / (rms_5bit * rms_k4_scale);
  b.d = float_to_f16(d);
  b.dmin = float_to_f16(15.5f * d);
  fill_k4_scales(source, b.scales);
  source.fill(b.qh);
  source.fill(b.qs);
  return b;
}

BlockQ6_K make(Source& source, float deviation, BlockQ6_K*) {
  BlockQ6_K b;
  b.d = float_to_f16(deviation / (rms_6bit * rms_int8));
  source.fill(b.scales);
  source.fill(b.ql);
  source.fill(b.qh);
  return b;
}

template <typename Block>
void blocks_row(float deviation, uint64_t seed, void* out, int64_t blocks) {
  Source source(seed);
  for (int64_t i = 0; i < blocks; ++i) {
    store_block(make(source, deviation, static_cast<Block*>(nullptr)), out, i);
  }
}

template <typename Value, typename Convert>
void floats_row(float deviation, uint64_t seed, void* out, int64_t n, Convert convert) {
  Source source(seed);
  const float width = uniform_width * deviation;
  for (int64_t i = 0; i < n; ++i) {
    const Value value = convert(width * source.signed_unit());
    store_block(value, out, i);
  }
}

// Codes of either sign with exponents 8 to 11: +-2 to +-30, no NaN.
void fp8_row(uint64_t seed, void* out, int64_t n) {
  Source source(seed);
  auto* codes = static_cast<uint8_t*>(out);
  for (int64_t i = 0; i < n; i += 8) {
    const uint64_t bits = (source.next() & 0x9f9f9f9f9f9f9f9fu) | 0x4040404040404040u;
    std::memcpy(codes + i, &bits, static_cast<size_t>(std::min<int64_t>(8, n - i)));
  }
}

}  // namespace

bool can_randomize(Type type) {
  switch (type) {
    case Type::F32:
    case Type::F16:
    case Type::BF16:
    case Type::Q8_0:
    case Type::Q4_0:
    case Type::Q5_0:
    case Type::Q5_1:
    case Type::Q4_K:
    case Type::Q5_K:
    case Type::Q6_K:
    case Type::IQ4_NL:
    case Type::IQ4_XS:
    case Type::FP8_E4M3:
      return true;
    default:
      return false;
  }
}

void random_row(Type type, float deviation, uint64_t seed, void* out, int64_t n) {
  switch (type) {
    case Type::F32:
      return floats_row<float>(deviation, seed, out, n, [](float x) { return x; });
    case Type::F16:
      return floats_row<uint16_t>(deviation, seed, out, n, float_to_f16);
    case Type::BF16:
      return floats_row<uint16_t>(deviation, seed, out, n, float_to_bf16);
    case Type::Q8_0:
      return blocks_row<BlockQ8_0>(deviation, seed, out, n / 32);
    case Type::Q4_0:
      return blocks_row<BlockQ4_0>(deviation, seed, out, n / 32);
    case Type::Q5_0:
      return blocks_row<BlockQ5_0>(deviation, seed, out, n / 32);
    case Type::Q5_1:
      return blocks_row<BlockQ5_1>(deviation, seed, out, n / 32);
    case Type::Q4_K:
      return blocks_row<BlockQ4_K>(deviation, seed, out, n / 256);
    case Type::Q5_K:
      return blocks_row<BlockQ5_K>(deviation, seed, out, n / 256);
    case Type::Q6_K:
      return blocks_row<BlockQ6_K>(deviation, seed, out, n / 256);
    case Type::IQ4_NL:
      return blocks_row<BlockIQ4_NL>(deviation, seed, out, n / 32);
    case Type::IQ4_XS:
      return blocks_row<BlockIQ4_XS>(deviation, seed, out, n / 256);
    case Type::FP8_E4M3:
      return fp8_row(seed, out, n);
    default:
      break;
  }
  HADAL_CHECK(false, "no random blocks of type {}", static_cast<uint32_t>(type));
}

}  // namespace hadal::quant
