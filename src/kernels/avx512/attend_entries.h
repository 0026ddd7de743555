// Entries of the table.
#pragma once

#include "kernels/avx512/simd.h"

namespace hadal::kernels::HADAL_WIDE {

void pack_queries(const float* q, int64_t stride, int64_t queries, int64_t width, uint16_t* out);
void attend(const Attend& a);
void attend_tiles(const Attend& a);

}  // namespace hadal::kernels::HADAL_WIDE
