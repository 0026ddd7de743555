// The products of the two kinds of blocks, each format compiled once.
#pragma once

#include "kernels/avx512/simd.h"

namespace hadal::kernels::HADAL_WIDE::amx {

// Entries of the table (kernels/kernels.h).
int64_t packed_bytes(quant::Type type, Activation activation, int64_t k, int64_t n);
void matmul_packed(const Matmul& m);

// For BF16 and FP8: of any number of activations as they are, one by one; and packed.
void matmul_bf16(const Matmul& m);
void matmul_packed_bf16(const Matmul& m);
int64_t packed_bytes_bf16(int64_t k, int64_t n);
void pack_bf16(const void* x, int64_t x_stride, int64_t n, int64_t k, void* out);

// matmul_packed for formats with blocks of 256 and of 32, between tile_configure and tile_release.
void matmul_large(const Matmul& m);
void matmul_small(const Matmul& m);

}  // namespace hadal::kernels::HADAL_WIDE::amx
