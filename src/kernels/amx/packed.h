// Packed activations: sixteen tokens, block after block, in the order in which a tile takes its
// second operand: four neighbouring codes of each token, then the next four. Tokens that are
// missing have zeros.
#pragma once

#include "kernels/activation.h"
#include "kernels/avx512/simd.h"

namespace hadal::kernels::HADAL_WIDE::amx {

constexpr int64_t token_group = 16;

// A block of q8_256.
struct alignas(64) LargeTokens {
  int8_t codes[4][16][64];   // [64 columns][4 columns][token, column]
  float d[16];               // [token]
  int16_t sums32[4][16][2];  // of 32 codes, in pairs: [64 columns][token][32 columns]
  int16_t sums16[8][16][2];  // of 16 codes, in pairs: [32 columns][token][16 columns]
};

// A block of q8_32.
struct alignas(64) SmallTokens {
  int8_t codes[8][64];  // [4 columns][token, column]
  float d[16];          // [token]
  float sums[16];       // [token]
};

static inline int64_t token_groups(int64_t n) {
  return (n + token_group - 1) / token_group;
}

static inline int64_t group_bytes(Activation activation, int64_t k) {
  return activation == Activation::q8_256
             ? k / q8_large_block * static_cast<int64_t>(sizeof(LargeTokens))
             : k / q8_small_block * static_cast<int64_t>(sizeof(SmallTokens));
}

void pack(Activation activation, const void* x, int64_t x_stride, int64_t n, int64_t k, void* out);

}  // namespace hadal::kernels::HADAL_WIDE::amx
