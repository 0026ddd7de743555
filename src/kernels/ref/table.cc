#include "kernels/ref/ref.h"
#include "kernels/tables.h"

namespace hadal::kernels {

const Table& ref_table() {
  static constexpr Table table = {
      .name = "ref",
      .products = {ref::matmul_float, ref::matmul_quantised, ref::matmul_quantised,
                   ref::matmul_bf16},
      .packed_bytes = ref::packed_bytes,
      .pack = nullptr,
      .matmul_packed = nullptr,
      .matmul_transposed = ref::matmul_transposed,
      .transposed_bf16 = ref::transposed_bf16,
      .decode_row = ref::decode_row,
      .quantize = ref::quantize,
      .attention_scores = ref::attention_scores,
      .softmax = ref::softmax,
      .attention_values = ref::attention_values,
      .merge = ref::merge,
      .pack_queries = ref::pack_queries,
      .attend = ref::attend,
      .rms_norm = ref::rms_norm,
      .rope_interleaved = ref::rope_interleaved,
      .rope_halves = ref::rope_halves,
      .silu_mul = ref::silu_mul,
      .add_scaled = ref::add_scaled,
      .round_bf16 = ref::round_bf16,
      .float_to_bf16 = ref::float_to_bf16,
      .q8_0_to_bf16 = ref::q8_0_to_bf16,
      .product = ref::product,
      .pack_rows = ref::pack_rows,
      .pack_columns = ref::pack_columns,
      .transpose = ref::transpose,
      .dot = ref::dot,
      .scale = ref::scale,
      .softmax_scaled = ref::softmax_scaled,
      .score_derivatives = ref::score_derivatives,
      .silu_mul_backward = ref::silu_mul_backward,
      .rms_norm_backward = ref::rms_norm_backward,
  };
  return table;
}

}  // namespace hadal::kernels
