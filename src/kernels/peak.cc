#include "kernels/peak.h"

#include <vector>

#include "base/scalar.h"
#include "kernels/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hadal::kernels {
namespace {

#if defined(__x86_64__)

// Twelve chains: FMA has a latency of four cycles and two units, so eight would do; the rest covers
// processors whose latency is five.
constexpr int chains = 12;

uint32_t sse_fp32(int64_t rounds) {
  __m128 acc[chains];
  for (auto& a : acc) a = _mm_set1_ps(1.0f);
  const __m128 x = _mm_set1_ps(0.999f);
  const __m128 y = _mm_set1_ps(0.001f);
  for (int64_t r = 0; r < rounds; ++r)
#pragma GCC unroll 12
    for (auto& a : acc) {
      a = _mm_add_ps(_mm_mul_ps(a, x), y);
      asm volatile("" : "+x"(a));  // the chains are equal: keep the compiler from merging them
    }
  __m128 sum = acc[0];
  for (int i = 1; i < chains; ++i) sum = _mm_add_ps(sum, acc[i]);
  return float_bits(_mm_cvtss_f32(sum));
}

__attribute__((target("avx2,fma"))) uint32_t avx2_fp32(int64_t rounds) {
  __m256 acc[chains];
  for (auto& a : acc) a = _mm256_set1_ps(1.0f);
  const __m256 x = _mm256_set1_ps(0.999f);
  const __m256 y = _mm256_set1_ps(0.001f);
  for (int64_t r = 0; r < rounds; ++r)
#pragma GCC unroll 12
    for (auto& a : acc) a = _mm256_fmadd_ps(a, x, y);
  __m256 sum = acc[0];
  for (int i = 1; i < chains; ++i) sum = _mm256_add_ps(sum, acc[i]);
  return float_bits(_mm256_cvtss_f32(sum));
}

// An integer dot product without VNNI is three instructions: maddubs, madd, add. Two by four
// operands as in a register-blocked product; the empty asm makes the compiler believe that they
// change.
__attribute__((target("avx2"))) uint32_t avx2_int8(int64_t rounds) {
  __m256i acc[8];
  __m256i x[4];
  __m256i w[2];
  for (auto& v : acc) v = _mm256_setzero_si256();
  for (auto& v : x) v = _mm256_set1_epi8(3);
  for (auto& v : w) v = _mm256_set1_epi8(5);
  const __m256i ones = _mm256_set1_epi16(1);
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      asm volatile("" : "+x"(x[i % 4]));
      const __m256i pairs = _mm256_maddubs_epi16(x[i % 4], w[i / 4]);
      acc[i] = _mm256_add_epi32(acc[i], _mm256_madd_epi16(pairs, ones));
    }
  }
  __m256i sum = acc[0];
  for (int i = 1; i < 8; ++i) sum = _mm256_add_epi32(sum, acc[i]);
  return static_cast<uint32_t>(_mm256_extract_epi32(sum, 0));
}

__attribute__((target("avx512f"))) uint32_t avx512_fp32(int64_t rounds) {
  __m512 acc[chains];
  for (auto& a : acc) a = _mm512_set1_ps(1.0f);
  const __m512 x = _mm512_set1_ps(0.999f);
  const __m512 y = _mm512_set1_ps(0.001f);
  for (int64_t r = 0; r < rounds; ++r)
#pragma GCC unroll 12
    for (auto& a : acc) a = _mm512_fmadd_ps(a, x, y);
  __m512 sum = acc[0];
  for (int i = 1; i < chains; ++i) sum = _mm512_add_ps(sum, acc[i]);
  return float_bits(_mm512_cvtss_f32(sum));
}

__attribute__((target("avx512f,avx512vnni"))) uint32_t avx512_int8(int64_t rounds) {
  __m512i acc[chains];
  for (int i = 0; i < chains; ++i) acc[i] = _mm512_set1_epi32(i);
  const __m512i x = _mm512_set1_epi8(3);
  for (int64_t r = 0; r < rounds; ++r)
#pragma GCC unroll 12
    for (auto& a : acc) a = _mm512_dpbusd_epi32(a, x, x);
  __m512i sum = acc[0];
  for (int i = 1; i < chains; ++i) sum = _mm512_add_epi32(sum, acc[i]);
  alignas(64) uint32_t lanes[16];
  _mm512_store_si512(lanes, sum);
  return lanes[0];
}

// Tiles of 16 rows of 64 bytes: 0 to 3 hold sums, 4 and 5 the left side, 6 and 7 the right. A tile
// product takes 16 cycles and is ready after 52, so four sums keep the unit busy.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

__attribute__((target("amx-tile"))) void load_tiles(const void* ones) {
  const TileConfig config;
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, ones, 64);
  _tile_loadd(5, ones, 64);
  _tile_loadd(6, ones, 64);
  _tile_loadd(7, ones, 64);
}

__attribute__((target("amx-tile"))) uint32_t store_tiles() {
  alignas(64) uint32_t sums[256];
  _tile_stored(0, sums, 64);
  _tile_release();
  return sums[0];
}

__attribute__((target("amx-tile,amx-bf16"))) uint32_t amx_bf16(int64_t rounds) {
  alignas(64) uint16_t ones[512];
  for (uint16_t& x : ones) x = float_to_bf16(1.0f);
  load_tiles(ones);
  for (int64_t r = 0; r < rounds; ++r) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  return store_tiles();
}

__attribute__((target("amx-tile,amx-int8"))) uint32_t amx_int8(int64_t rounds) {
  alignas(64) uint8_t threes[1024];
  for (uint8_t& x : threes) x = 3;
  load_tiles(threes);
  for (int64_t r = 0; r < rounds; ++r) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  return store_tiles();
}

std::vector<PeakLoop> available() {
  std::vector<PeakLoop> loops = {
      {"SSE FP32 multiply and add", "sse", Product::fp32, chains * 4 * 2.0, sse_fp32}};
  if (cpu_has_avx2()) {
    loops.push_back({"AVX2 FP32 FMA", "avx2", Product::fp32, chains * 8 * 2.0, avx2_fp32});
    loops.push_back({"AVX2 int8 dot", "avx2", Product::int8, 8 * 32 * 2.0, avx2_int8});
  }
  if (cpu_has_avx512()) {
    loops.push_back({"AVX-512 FP32 FMA", "avx512", Product::fp32, chains * 16 * 2.0, avx512_fp32});
    loops.push_back(
        {"AVX-512 VNNI int8 dot", "avx512", Product::int8, chains * 64 * 2.0, avx512_int8});
  }
  if (cpu_has_amx()) {
    constexpr double tile_products = 4 * 16 * 16 * 2.0;
    loops.push_back({"AMX BF16 tiles", "amx", Product::bf16, tile_products * 32, amx_bf16});
    loops.push_back({"AMX int8 tiles", "amx", Product::int8, tile_products * 64, amx_int8});
  }
  return loops;
}

#else

std::vector<PeakLoop> available() {
  return {};
}

#endif

}  // namespace

std::span<const PeakLoop> peak_loops() {
  static const std::vector<PeakLoop> loops = available();
  return loops;
}

}  // namespace hadal::kernels
