// Entries of the table.
#pragma once

#include "kernels/avx512/simd.h"

namespace hadal::kernels::HADAL_WIDE {

void pack_queries(const float* q, int64_t stride, int64_t queries, int64_t width, uint16_t* out);
void attend(const Attend& a);
void transposed_bf16(const TransposedBf16& m);
void q8_0_to_bf16(const void* blocks, int64_t n, uint16_t* y);
void attend_tiles(const Attend& a);
void transposed_bf16_tiles(const TransposedBf16& m);

}  // namespace hadal::kernels::HADAL_WIDE
