// The eight tile registers of AMX: up to 16 rows of up to 64 bytes. Registers are numbered by
// template arguments. Every operation is volatile and ordered with memory, so code in front of and
// behind it stays there: what should overlap is written interleaved.
#pragma once

#include <stdint.h>

namespace hadal::kernels::wide_native {

// Shapes of the eight registers (LDTILECFG's operand).
struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

static inline void tile_configure(const TileShapes& shapes) {
  __asm__ volatile("ldtilecfg %0" ::"m"(shapes) : "memory");
}
static inline void tile_release() {
  __asm__ volatile("tilerelease" ::: "memory");
}

template <int t>
static inline __attribute__((always_inline)) void tile_zero() {
  __asm__ volatile("tilezero %%tmm%c0" ::"i"(t));
}
// Row i is at p + i * stride, stride in bytes.
template <int t>
static inline __attribute__((always_inline)) void tile_load(const void* p, int64_t stride) {
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(p), "r"(stride), "i"(t) : "memory");
}
template <int t>
static inline __attribute__((always_inline)) void tile_store(void* p, int64_t stride) {
  __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(p), "r"(stride), "i"(t) : "memory");
}

// c[m][n] += sum over k and j < 4 of a[m][4k + j] * b[k][4n + j], bytes: signed (s) or unsigned
// (u), a's sign first.
template <int c, int a, int b>
static inline __attribute__((always_inline)) void tile_dot_ss() {
  __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(c), "i"(a), "i"(b));
}
template <int c, int a, int b>
static inline __attribute__((always_inline)) void tile_dot_us() {
  __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(c), "i"(a), "i"(b));
}
// The same with pairs of BF16 and floats; order and rounding: tiles_portable.h.
template <int c, int a, int b>
static inline __attribute__((always_inline)) void tile_dot_bf16() {
  __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(c), "i"(a), "i"(b));
}

}  // namespace hadal::kernels::wide_native
