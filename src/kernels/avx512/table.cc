#include "kernels/avx512/attend_entries.h"
#include "kernels/avx512/float_entries.h"
#include "kernels/avx512/simd.h"
#include "kernels/tables.h"

namespace hadal::kernels::HADAL_WIDE {

void add_avx512(Table& table) {
  add_matmul(table);
  table.set_product(Activation::f32, matmul_float);
  table.attention_scores = attention_scores;
  table.attention_values = attention_values;
  table.matmul_transposed = matmul_transposed;
  table.pack_queries = pack_queries;
  table.attend = attend;
  table.q8_0_to_bf16 = q8_0_to_bf16;
  table.transposed_bf16 = transposed_bf16;
}

}  // namespace hadal::kernels::HADAL_WIDE
