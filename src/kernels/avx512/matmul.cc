// Which kernel meets which product.
#include "kernels/avx512/stream.h"

namespace hadal::kernels::HADAL_WIDE {
namespace {

using quant::Type;

// From this many activations on, the tables below are faster.
constexpr int64_t stream_tokens_max = 4;

void (*products_below[activation_count])(const Matmul&);

void matmul_below(const Matmul& m) {
  products_below[static_cast<int>(m.activation)](m);
}

void matmul_integers(const Matmul& m) {
  if (m.n > stream_tokens_max) return matmul_below(m);
  switch (m.w->type) {
    case Type::Q8_0:
      return stream<Q8_0>(m);
    case Type::Q4_0:
      return stream<Q4_0>(m);
    case Type::Q4_1:
      return stream<Q4_1>(m);
    case Type::Q5_0:
      return stream<Q5_0>(m);
    case Type::Q5_1:
      return stream<Q5_1>(m);
    case Type::IQ4_NL:
      return stream<IQ4_NL>(m);
    case Type::MXFP4:
      return stream<MXFP4>(m);
    case Type::Q2_K:
      return stream<Q2_K>(m);
    case Type::Q3_K:
      return stream<Q3_K>(m);
    case Type::Q4_K:
      return stream<Q4_K>(m);
    case Type::Q5_K:
      return stream<Q5_K>(m);
    case Type::Q6_K:
      return stream<Q6_K>(m);
    case Type::IQ4_XS:
      return stream<IQ4_XS>(m);
    default:
      return matmul_below(m);
  }
}

}  // namespace

void add_matmul(Table& table) {
  for (int i = 0; i < activation_count; ++i) products_below[i] = table.products[i];
  table.set_product(Activation::q8_32, matmul_integers);
  table.set_product(Activation::q8_256, matmul_integers);
}

}  // namespace hadal::kernels::HADAL_WIDE
