#include "kernels/avx512/attend_entries.h"
#include "kernels/avx512/simd.h"
#include "kernels/tables.h"

namespace hadal::kernels::HADAL_WIDE {

void add_avx512(Table& table) {
  add_matmul(table);
  table.pack_queries = pack_queries;
  table.attend = attend;
  table.q8_0_to_bf16 = q8_0_to_bf16;
  table.transposed_bf16 = transposed_bf16;
}

}  // namespace hadal::kernels::HADAL_WIDE
