// The operations of wide.h by AVX-512. Loads and stores need no alignment.
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/flush.h"

namespace hadal::kernels::wide_native {

#define HADAL_OP static inline __attribute__((always_inline))

using Ints = __m512i;   // 64 bytes of whole numbers, or of anything
using Floats = __m512;  // 16 floats

HADAL_OP __mmask64 first_bytes(int n) {
  return n >= 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1;
}
HADAL_OP __mmask16 first_lanes(int n) {
  return static_cast<__mmask16>((1u << n) - 1);
}

// ---- loads and stores

HADAL_OP Ints load(const void* p) {
  return _mm512_loadu_si512(p);
}

HADAL_OP void store(void* p, Ints v) {
  _mm512_storeu_si512(p, v);
}

HADAL_OP Ints load_first(const void* p, int n) {
  return _mm512_maskz_loadu_epi8(first_bytes(n), p);
}

HADAL_OP void store_first(void* p, int n, Ints v) {
  _mm512_mask_storeu_epi8(p, first_bytes(n), v);
}

HADAL_OP Ints load_halves(const void* low, const void* high) {
  return _mm512_inserti64x4(
      _mm512_castsi256_si512(_mm256_loadu_si256(static_cast<const __m256i*>(low))),
      _mm256_loadu_si256(static_cast<const __m256i*>(high)), 1);
}

HADAL_OP Ints load_half_twice(const void* p) {
  return _mm512_broadcast_i64x4(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}

HADAL_OP Ints load_quarter_4x(const void* p) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}

// Quarters p p q q.
HADAL_OP Ints load_quarter_pairs(const void* p, const void* q) {
  return _mm512_mask_broadcast_i32x4(load_quarter_4x(p), 0xff00,
                                     _mm_loadu_si128(static_cast<const __m128i*>(q)));
}

HADAL_OP Ints load_i8_as_i16(const void* p) {
  return _mm512_cvtepi8_epi16(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}

HADAL_OP Ints load_u8_as_i16(const void* p) {
  return _mm512_cvtepu8_epi16(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}

HADAL_OP Ints load_i8_as_i32(const void* p) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}

HADAL_OP Ints load_u8_as_i32(const void* p) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}

HADAL_OP Ints load_i16_as_i32(const void* p) {
  return _mm512_cvtepi16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}

HADAL_OP Ints load_u16_as_i32(const void* p) {
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}

HADAL_OP Floats load_floats(const float* p) {
  return _mm512_loadu_ps(p);
}

HADAL_OP void store_floats(float* p, Floats v) {
  _mm512_storeu_ps(p, v);
}

HADAL_OP Floats load_floats_first(const float* p, int n) {
  return _mm512_maskz_loadu_ps(first_lanes(n), p);
}

HADAL_OP void store_floats_first(float* p, int n, Floats v) {
  _mm512_mask_storeu_ps(p, first_lanes(n), v);
}

// Keeps the compiler from loading v anew for each use: loads are what such loops wait for.
HADAL_OP Floats in_register(Floats v) {
  __asm__("" : "+v"(v));
  return v;
}

HADAL_OP Floats load_f16(const void* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}

// One number of half precision in all lanes.
HADAL_OP Floats broadcast_f16(const void* p) {
  short half;
  __builtin_memcpy(&half, p, 2);
  return _mm512_cvtph_ps(_mm256_set1_epi16(half));
}

// One permutation, where widening and shifting are two operations.
HADAL_OP Floats load_bf16(const void* p) {
  const __m512i places =
      _mm512_setr_epi32(0, 1 << 16, 2 << 16, 3 << 16, 4 << 16, 5 << 16, 6 << 16, 7 << 16, 8 << 16,
                        9 << 16, 10 << 16, 11 << 16, 12 << 16, 13 << 16, 14 << 16, 15 << 16);
  const __m512i v = _mm512_castsi256_si512(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
  return _mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(0xaaaaaaaau, places, v));
}

// Lane i: the four bytes at base + offsets[i], at any address.
HADAL_OP Ints gather32(const void* base, Ints offsets) {
  return _mm512_i32gather_epi32(offsets, base, 1);
}

// Brings the line of p towards this core: into the nearest cache, or the second.
HADAL_OP void prefetch_near(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}
HADAL_OP void prefetch_far(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1);
}

// ---- constants

HADAL_OP Ints zero() {
  return _mm512_setzero_si512();
}

HADAL_OP Ints set8(int x) {
  return _mm512_set1_epi8(static_cast<char>(x));
}

HADAL_OP Ints set16(int x) {
  return _mm512_set1_epi16(static_cast<short>(x));
}

HADAL_OP Ints set32(int32_t x) {
  return _mm512_set1_epi32(x);
}

HADAL_OP Ints set64(int64_t x) {
  return _mm512_set1_epi64(x);
}

HADAL_OP Floats zero_floats() {
  return _mm512_setzero_ps();
}

HADAL_OP Floats set_floats(float x) {
  return _mm512_set1_ps(x);
}

// ---- bits

HADAL_OP Ints bit_and(Ints a, Ints b) {
  return _mm512_and_si512(a, b);
}

HADAL_OP Ints bit_or(Ints a, Ints b) {
  return _mm512_or_si512(a, b);
}

HADAL_OP Ints bit_xor(Ints a, Ints b) {
  return _mm512_xor_si512(a, b);
}

// Bits of a where m has ones, of b elsewhere.
HADAL_OP Ints bit_select(Ints m, Ints a, Ints b) {
  return _mm512_ternarylogic_epi64(m, a, b, 0xca);
}

template <int count>
HADAL_OP Ints shift_right16(Ints a) {
  return _mm512_srli_epi16(a, count);
}

template <int count>
HADAL_OP Ints shift_left16(Ints a) {
  return _mm512_slli_epi16(a, count);
}

template <int count>
HADAL_OP Ints shift_right_signed16(Ints a) {
  return _mm512_srai_epi16(a, count);
}

HADAL_OP Ints shift_right_each16(Ints a, Ints counts) {
  return _mm512_srlv_epi16(a, counts);
}

HADAL_OP Ints shift_left_each16(Ints a, Ints counts) {
  return _mm512_sllv_epi16(a, counts);
}

template <int count>
HADAL_OP Ints shift_right32(Ints a) {
  return _mm512_srli_epi32(a, count);
}

template <int count>
HADAL_OP Ints shift_left32(Ints a) {
  return _mm512_slli_epi32(a, count);
}

template <int count>
HADAL_OP Ints shift_right_signed32(Ints a) {
  return _mm512_srai_epi32(a, count);
}

HADAL_OP Ints shift_right_each32(Ints a, Ints counts) {
  return _mm512_srlv_epi32(a, counts);
}

HADAL_OP Ints shift_left_each32(Ints a, Ints counts) {
  return _mm512_sllv_epi32(a, counts);
}

// ---- whole numbers

HADAL_OP Ints add8(Ints a, Ints b) {
  return _mm512_add_epi8(a, b);
}

// a, plus b in the bytes of the mask.
HADAL_OP Ints add8_where(uint64_t m, Ints a, Ints b) {
  return _mm512_mask_add_epi8(a, m, a, b);
}

HADAL_OP Ints sub8(Ints a, Ints b) {
  return _mm512_sub_epi8(a, b);
}

HADAL_OP Ints add16(Ints a, Ints b) {
  return _mm512_add_epi16(a, b);
}

HADAL_OP Ints sub16(Ints a, Ints b) {
  return _mm512_sub_epi16(a, b);
}

HADAL_OP Ints add32(Ints a, Ints b) {
  return _mm512_add_epi32(a, b);
}

HADAL_OP Ints sub32(Ints a, Ints b) {
  return _mm512_sub_epi32(a, b);
}

HADAL_OP Ints mul16(Ints a, Ints b) {
  return _mm512_mullo_epi16(a, b);
}

HADAL_OP Ints mul32(Ints a, Ints b) {
  return _mm512_mullo_epi32(a, b);
}

HADAL_OP Ints abs8(Ints a) {
  return _mm512_abs_epi8(a);
}

// Lane of 32 bits += the four products of its bytes, unsigned times signed.

HADAL_OP Ints dot_bytes(Ints sum, Ints u, Ints s) {
  return _mm512_dpbusd_epi32(sum, u, s);
}

// Lane of 32 bits += the two products of its 16-bit halves (dot_words), or is them (madd16).

HADAL_OP Ints madd16(Ints a, Ints b) {
  return _mm512_madd_epi16(a, b);
}

HADAL_OP Ints dot_words(Ints sum, Ints a, Ints b) {
  return _mm512_dpwssd_epi32(sum, a, b);
}

// ---- permutations

// In each 16 bytes: four lanes of 32 bits of a, then of b, to 16 bits each (saturated).

HADAL_OP Ints pack32(Ints a, Ints b) {
  return _mm512_packs_epi32(a, b);
}

HADAL_OP Ints shuffle_bytes(Ints table, Ints index) {
  return _mm512_shuffle_epi8(table, index);
}

HADAL_OP Ints permute_bytes(Ints index, Ints a) {
  return _mm512_permutexvar_epi8(index, a);
}

HADAL_OP Ints permute_bytes2(Ints index, Ints a, Ints b) {
  return _mm512_permutex2var_epi8(a, index, b);
}

HADAL_OP Ints permute16(Ints index, Ints a) {
  return _mm512_permutexvar_epi16(index, a);
}

HADAL_OP Ints permute32(Ints index, Ints a) {
  return _mm512_permutexvar_epi32(index, a);
}

HADAL_OP Ints permute32_2(Ints index, Ints a, Ints b) {
  return _mm512_permutex2var_epi32(a, index, b);
}

HADAL_OP Ints unpack_low8(Ints a, Ints b) {
  return _mm512_unpacklo_epi8(a, b);
}

HADAL_OP Ints unpack_high8(Ints a, Ints b) {
  return _mm512_unpackhi_epi8(a, b);
}

HADAL_OP Ints unpack_low16(Ints a, Ints b) {
  return _mm512_unpacklo_epi16(a, b);
}

HADAL_OP Ints unpack_high16(Ints a, Ints b) {
  return _mm512_unpackhi_epi16(a, b);
}

HADAL_OP Ints unpack_low32(Ints a, Ints b) {
  return _mm512_unpacklo_epi32(a, b);
}

HADAL_OP Ints unpack_high32(Ints a, Ints b) {
  return _mm512_unpackhi_epi32(a, b);
}

HADAL_OP Ints unpack_low64(Ints a, Ints b) {
  return _mm512_unpacklo_epi64(a, b);
}

HADAL_OP Ints unpack_high64(Ints a, Ints b) {
  return _mm512_unpackhi_epi64(a, b);
}

// Quarters of 16 bytes: two of a, then two of b, two bits of `control` each.

template <int control>
HADAL_OP Ints shuffle_quarters(Ints a, Ints b) {
  return _mm512_shuffle_i32x4(a, b, control);
}

// ---- masks

HADAL_OP uint64_t equal8(Ints a, Ints b) {
  return _mm512_cmpeq_epi8_mask(a, b);
}

HADAL_OP uint64_t any_bit8(Ints a, Ints b) {
  return _mm512_test_epi8_mask(a, b);
}

HADAL_OP Ints blend8(uint64_t m, Ints a, Ints b) {
  return _mm512_mask_blend_epi8(m, a, b);
}

HADAL_OP Ints blend32(uint32_t m, Ints a, Ints b) {
  return _mm512_mask_blend_epi32(static_cast<__mmask16>(m), a, b);
}

HADAL_OP Floats blend_floats(uint32_t m, Floats a, Floats b) {
  return _mm512_mask_blend_ps(static_cast<__mmask16>(m), a, b);
}

HADAL_OP uint32_t less_floats(Floats a, Floats b) {
  return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}

HADAL_OP uint32_t unordered_floats(Floats a, Floats b) {
  return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q);
}

// ---- floats

HADAL_OP Floats add_floats(Floats a, Floats b) {
  return _mm512_add_ps(a, b);
}

HADAL_OP Floats sub_floats(Floats a, Floats b) {
  return _mm512_sub_ps(a, b);
}

HADAL_OP Floats mul_floats(Floats a, Floats b) {
  return _mm512_mul_ps(a, b);
}

HADAL_OP Floats div_floats(Floats a, Floats b) {
  return _mm512_div_ps(a, b);
}

HADAL_OP Floats fma(Floats a, Floats b, Floats c) {
  return _mm512_fmadd_ps(a, b, c);
}

// These two only while a FlushSubnormals (flush.h) stands.

HADAL_OP Floats add_flushed(Floats a, Floats b) {
  return _mm512_add_ps(a, b);
}

HADAL_OP Floats fma_flushed(Floats a, Floats b, Floats c) {
  return _mm512_fmadd_ps(a, b, c);
}

HADAL_OP Floats max_floats(Floats a, Floats b) {
  return _mm512_max_ps(a, b);
}

HADAL_OP Floats to_floats(Ints a) {
  return _mm512_cvtepi32_ps(a);
}

// The F16 in the low half of each lane.

HADAL_OP Floats halves_to_floats(Ints a) {
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(a));
}

// To the nearest whole number, ties to even.

HADAL_OP Ints to_ints(Floats a) {
  return _mm512_cvtps_epi32(a);
}

HADAL_OP Ints as_ints(Floats a) {
  return _mm512_castps_si512(a);
}

HADAL_OP Floats as_floats(Ints a) {
  return _mm512_castsi512_ps(a);
}

}  // namespace hadal::kernels::wide_native
