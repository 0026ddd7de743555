#include "kernels/amx/matmul.h"
#include "kernels/amx/packed.h"
#include "kernels/avx512/attend_entries.h"
#include "kernels/avx512/product_entries.h"
#include "kernels/tables.h"

namespace hadal::kernels::HADAL_WIDE {

void add_amx(Table& table) {
  table.set_product(Activation::bf16, amx::matmul_bf16);
  table.packed_bytes = amx::packed_bytes;
  table.pack = amx::pack;
  table.matmul_packed = amx::matmul_packed;
  table.attend = attend_tiles;
  table.transposed_bf16 = transposed_bf16_tiles;
  table.product = product_tiles;
}

}  // namespace hadal::kernels::HADAL_WIDE
