#include "kernels/amx/matmul.h"
#include "kernels/amx/packed.h"
#include "kernels/avx512/transpose.h"

namespace hadal::kernels::HADAL_WIDE::amx {
namespace {

// The rows of up to sixteen tokens.
struct Tokens {
  const char* row[16];
  int count;
};

// bytes <= 64 of each token from `offset` on; lane j of v[i] <- token j, bytes [4 i, 4 i + 4).
HADAL_OP void load_transposed(const Tokens& tokens, int64_t offset, int bytes, Ints* v) {
  for (int t = 0; t < 16; ++t) {
    v[t] = t < tokens.count ? load_first(tokens.row[t] + offset, bytes) : zero();
  }
  transpose16(v);
}

void pack_large(const Tokens& tokens, int64_t k, LargeTokens* out) {
  for (int64_t b = 0; b < k / q8_large_block; ++b) {
    LargeTokens& block = out[b];
    Ints v[16];
    for (int j = 0; j < 4; ++j) {
      load_transposed(tokens, b * q8_large_block + 64 * j, 64, v);
      for (int i = 0; i < 16; ++i) store(block.codes[j][i], v[i]);
    }
    for (int t = 0; t < 16; ++t) {
      block.d[t] = t < tokens.count ? q8_scales(tokens.row[t], k)[b] : 0.0f;
    }
    load_transposed(tokens, q8_sums_offset(Activation::q8_256, k) + 32 * b, 32, v);
    for (int i = 0; i < 8; ++i) store(block.sums16[i], v[i]);
    const Ints one = set16(1), low_half = set32(0xffff);
    for (int i = 0; i < 4; ++i) {
      const Ints first = bit_and(madd16(v[2 * i], one), low_half);
      store(block.sums32[i], bit_or(first, shift_left32<16>(madd16(v[2 * i + 1], one))));
    }
  }
}

void pack_small(const Tokens& tokens, int64_t k, SmallTokens* out) {
  const int64_t blocks = k / q8_small_block;
  for (int64_t b = 0; b < blocks; b += 2) {
    const int here = b + 1 < blocks ? 2 : 1;
    Ints v[16];
    load_transposed(tokens, b * q8_small_block, 32 * here, v);
    for (int h = 0; h < here; ++h) {
      SmallTokens& block = out[b + h];
      for (int i = 0; i < 8; ++i) store(block.codes[i], v[8 * h + i]);
      for (int t = 0; t < 16; ++t) {
        const bool there = t < tokens.count;
        block.d[t] = there ? q8_scales(tokens.row[t], k)[b + h] : 0.0f;
        block.sums[t] = there ? static_cast<float>(q8_small_sums(tokens.row[t], k)[b + h]) : 0.0f;
      }
    }
  }
}

}  // namespace

void pack(Activation activation, const void* x, int64_t x_stride, int64_t n, int64_t k, void* out) {
  if (activation == Activation::bf16) return pack_bf16(x, x_stride, n, k, out);
  auto* p = static_cast<char*>(out);
  for (int64_t t = 0; t < n; t += token_group, p += group_bytes(activation, k)) {
    Tokens tokens;
    tokens.count = static_cast<int>(n - t < token_group ? n - t : token_group);
    for (int64_t i = 0; i < tokens.count; ++i) {
      tokens.row[i] = static_cast<const char*>(x) + (t + i) * x_stride;
    }
    if (activation == Activation::q8_256) {
      pack_large(tokens, k, reinterpret_cast<LargeTokens*>(p));
    } else {
      pack_small(tokens, k, reinterpret_cast<SmallTokens*>(p));
    }
  }
}

}  // namespace hadal::kernels::HADAL_WIDE::amx
