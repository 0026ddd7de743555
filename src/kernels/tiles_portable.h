// The operations of tiles_native.h in plain code, as the manual defines them (Intel 64 and IA-32
// Architectures Software Developer's Manual, volume 2, TDPBSSD and TDPBF16PS).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/scalar.h"
#include "kernels/flush.h"

namespace hadal::kernels::wide_portable {

struct TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

struct Tiles {
  TileShapes shapes;
  uint8_t data[8][16][64];
};
inline thread_local Tiles tiles;

static inline void tile_configure(const TileShapes& shapes) {
  tiles.shapes = shapes;
  __builtin_memset(tiles.data, 0, sizeof(tiles.data));
}
static inline void tile_release() {
  tile_configure(TileShapes{});
}

template <int t>
static inline void tile_zero() {
  __builtin_memset(tiles.data[t], 0, sizeof(tiles.data[t]));
}
template <int t>
static inline void tile_load(const void* p, int64_t stride) {
  tile_zero<t>();
  for (int i = 0; i < tiles.shapes.rows[t]; ++i) {
    __builtin_memcpy(tiles.data[t][i], static_cast<const char*>(p) + i * stride,
                     static_cast<size_t>(tiles.shapes.row_bytes[t]));
  }
}
template <int t>
static inline void tile_store(void* p, int64_t stride) {
  for (int i = 0; i < tiles.shapes.rows[t]; ++i) {
    __builtin_memcpy(static_cast<char*>(p) + i * stride, tiles.data[t][i],
                     static_cast<size_t>(tiles.shapes.row_bytes[t]));
  }
}

template <class A, int c, int a, int b>
static inline void tile_dot_bytes() {
  for (int m = 0; m < tiles.shapes.rows[c]; ++m) {
    for (int n = 0; n < tiles.shapes.row_bytes[c] / 4; ++n) {
      uint32_t sum = 0;
      for (int k = 0; k < tiles.shapes.row_bytes[a] / 4; ++k) {
        for (int j = 0; j < 4; ++j) {
          const auto x = static_cast<A>(tiles.data[a][m][4 * k + j]);
          const auto y = static_cast<int8_t>(tiles.data[b][k][4 * n + j]);
          sum += static_cast<uint32_t>(x * y);
        }
      }
      uint32_t old = 0;
      __builtin_memcpy(&old, &tiles.data[c][m][4 * n], 4);
      sum += old;
      __builtin_memcpy(&tiles.data[c][m][4 * n], &sum, 4);
    }
  }
}
template <int c, int a, int b>
static inline void tile_dot_ss() {
  tile_dot_bytes<int8_t, c, a, b>();
}
template <int c, int a, int b>
static inline void tile_dot_us() {
  tile_dot_bytes<uint8_t, c, a, b>();
}

// Two chains of fma from +0, one over the even and one over the odd elements; then their sum is
// added to c. All results round to nearest even; subnormal numbers count as zero (flush.h).
template <int c, int a, int b>
static inline void tile_dot_bf16() {
  const auto element = [](const uint8_t* p) {
    uint16_t h;
    __builtin_memcpy(&h, p, 2);
    return bf16_to_float(h);
  };
  for (int m = 0; m < tiles.shapes.rows[c]; ++m) {
    for (int n = 0; n < tiles.shapes.row_bytes[c] / 4; ++n) {
      float chain[2] = {0.0f, 0.0f};
      for (int k = 0; k < tiles.shapes.row_bytes[a] / 4; ++k) {
        for (int j = 0; j < 2; ++j) {
          const float x = element(&tiles.data[a][m][4 * k + 2 * j]);
          const float y = element(&tiles.data[b][k][4 * n + 2 * j]);
          chain[j] = fma_flushed(x, y, chain[j]);
        }
      }
      float sum;
      __builtin_memcpy(&sum, &tiles.data[c][m][4 * n], 4);
      sum = add_flushed(sum, add_flushed(chain[0], chain[1]));
      __builtin_memcpy(&tiles.data[c][m][4 * n], &sum, 4);
    }
  }
}

}  // namespace hadal::kernels::wide_portable
