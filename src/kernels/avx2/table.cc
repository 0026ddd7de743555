#include "kernels/avx2/simd.h"
#include "kernels/tables.h"

namespace hadal::kernels {
namespace avx2 {
namespace {

Table make_table() {
  Table table = ref_table();
  table.name = "avx2";
  table.set_product(Activation::f32, matmul_float);
  table.set_product(Activation::q8_32, matmul_quantised);
  table.set_product(Activation::q8_256, matmul_quantised);
  table.set_product(Activation::bf16, matmul_bf16);
  table.matmul_transposed = matmul_transposed;
  table.decode_row = decode_row;
  table.quantize = quantize;
  table.attention_scores = attention_scores;
  table.softmax = softmax;
  table.attention_values = attention_values;
  table.pack_queries = pack_queries;
  table.attend = attend;
  table.transposed_bf16 = transposed_bf16;
  table.rms_norm = rms_norm;
  table.rope_interleaved = rope_interleaved;
  table.rope_halves = rope_halves;
  table.silu_mul = silu_mul;
  table.add_scaled = add_scaled;
  table.round_bf16 = round_bf16;
  table.float_to_bf16 = float_to_bf16;
  table.q8_0_to_bf16 = q8_0_to_bf16;
  table.product = product;
  table.dot = dot;
  table.scale = scale;
  table.softmax_scaled = softmax_scaled;
  table.score_derivatives = score_derivatives;
  table.silu_mul_backward = silu_mul_backward;
  table.rms_norm_backward = rms_norm_backward;
  return table;
}

}  // namespace

}  // namespace avx2

const Table& avx2_table() {
  static const Table table = avx2::make_table();
  return table;
}

}  // namespace hadal::kernels
