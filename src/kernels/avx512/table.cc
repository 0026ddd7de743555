#include "kernels/avx512/attend_entries.h"
#include "kernels/tables.h"

namespace hadal::kernels::HADAL_WIDE {

void add_avx512(Table& table) {
  table.pack_queries = pack_queries;
  table.attend = attend;
  table.transposed_bf16 = transposed_bf16;
}

}  // namespace hadal::kernels::HADAL_WIDE
