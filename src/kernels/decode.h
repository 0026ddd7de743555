// Helpers that kernels of an instruction set call across the line: plain declarations, compiled
// once for every machine.
#pragma once

#include "kernels/kernels.h"

namespace hadal::kernels {

// Decodes weights [begin, begin + count) of a row of w to floats, FP8 scales included. begin and
// count: whole blocks of the type.
void decode_part(const Matrix& w, int64_t row, int64_t begin, int64_t count, float* out);

// Weights in a block of the type: 1, 32 or 256.
int64_t block_weights(quant::Type type);

namespace avx2 {
// The same by AVX2; begin a multiple of 256 for FP8 and blocks.
void decode_floats(const Matrix& w, int64_t row, int64_t begin, int64_t count, float* out);
}  // namespace avx2

}  // namespace hadal::kernels
