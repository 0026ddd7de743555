// Arithmetic that counts subnormal numbers as zero with their sign, as operands and as results:
// that of BF16 tiles (TDPBF16PS), and of vectors while FlushSubnormals stands. Plain code: every
// kernel file may include it.
//
// A result is subnormal if it would be after rounding to 24 bits with an exponent of any size,
// which is how the processors see it, tiles and vectors alike: 2^-126 - 2^-150 is flushed, though
// rounding among floats makes it 2^-126.
#pragma once

#include "base/scalar.h"

namespace hadal::kernels {

static inline float flush_subnormal(float x) {
  const uint32_t u = float_bits(x);
  return (u & 0x7f800000u) == 0 ? bits_float(u & 0x80000000u) : x;
}

// Sums of floats are exact where they are small, so that it does not matter when they are flushed.
static inline float add_flushed(float a, float b) {
  return flush_subnormal(flush_subnormal(a) + flush_subnormal(b));
}

static inline float fma_flushed(float a, float b, float c) {
  a = flush_subnormal(a);
  b = flush_subnormal(b);
  c = flush_subnormal(c);
  const float r = __builtin_fmaf(a, b, c);
  const bool at_border = (float_bits(r) & 0x7fffffffu) == 0x00800000u;
  // Its operands are small enough to be rounded again 2^64 higher, where nothing is subnormal.
  if (at_border && __builtin_fabsf(__builtin_fmaf(a * 0x1p64f, b, c * 0x1p64f)) < 0x1p-62f)
    return bits_float(float_bits(r) & 0x80000000u);
  return flush_subnormal(r);
}

#if defined(__x86_64__)
// Inside its life, the processor's own operations on floats flush. Operands are loaded and results
// stored within it: the compiler orders memory with it, not arithmetic.
class FlushSubnormals {
 public:
  __attribute__((always_inline)) FlushSubnormals() {
    // Flush results, count operands as zero, no exceptions, to nearest even.
    const uint32_t flush = 0x9fc0;
    __asm__ volatile("stmxcsr %0\n\tldmxcsr %1" : "=m"(old_) : "m"(flush) : "memory");
  }
  __attribute__((always_inline)) ~FlushSubnormals() {
    __asm__ volatile("ldmxcsr %0" ::"m"(old_) : "memory");
  }
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
  uint32_t old_;
};
#endif

}  // namespace hadal::kernels
