// The products of the two kinds of blocks, each format compiled once.
#pragma once

#include "kernels/avx512/simd.h"

namespace hadal::kernels::HADAL_WIDE::amx {

// Entries of the table (kernels/kernels.h).
int64_t packed_bytes(quant::Type type, Activation activation, int64_t k, int64_t n);
void matmul_packed(const Matmul& m);

// The same for formats with blocks of 256 and of 32, between tile_configure and tile_release.
void matmul_large(const Matmul& m);
void matmul_small(const Matmul& m);

}  // namespace hadal::kernels::HADAL_WIDE::amx
