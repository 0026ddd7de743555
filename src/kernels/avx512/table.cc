#include "kernels/avx512/attend_entries.h"
#include "kernels/avx512/float_entries.h"
#include "kernels/avx512/product_entries.h"
#include "kernels/avx512/simd.h"
#include "kernels/tables.h"

namespace hadal::kernels::HADAL_WIDE {

void add_avx512(Table& table) {
  add_matmul(table);
  table.set_product(Activation::f32, matmul_float);
  table.attention_scores = attention_scores;
  table.softmax = softmax;
  table.merge = merge;
  table.attention_values = attention_values;
  table.matmul_transposed = matmul_transposed;
  table.pack_queries = pack_queries;
  table.attend = attend;
  table.q8_0_to_bf16 = q8_0_to_bf16;
  table.transposed_bf16 = transposed_bf16;
  table.product = product;
  table.pack_rows = pack_rows;
  table.pack_columns = pack_columns;
  table.transpose = transpose;
  table.dot = dot;
  table.scale = scale;
  table.softmax_scaled = softmax_scaled;
  table.score_derivatives = score_derivatives;
  table.silu_mul_backward = silu_mul_backward;
  table.rms_norm_backward = rms_norm_backward;
  table.silu_mul = silu_mul;
  table.add_scaled = add_scaled;
  table.float_to_bf16 = float_to_bf16;
}

}  // namespace hadal::kernels::HADAL_WIDE
