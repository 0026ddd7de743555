// Which kernel meets which product.
#include "kernels/avx512/stream.h"

namespace hadal::kernels::HADAL_WIDE {

// Sixteen rows unpacked once for many activations (panel.h).
template <class F>
void panel(const Matmul& m);

namespace {

using quant::Type;

// With more activations a panel of unpacked rows pays.
constexpr int64_t stream_tokens_max = 4;

template <class F>
void product(const Matmul& m) {
  if (m.n <= stream_tokens_max)
    stream<F>(m);
  else
    panel<F>(m);
}

void matmul_integers(const Matmul& m) {
  switch (m.w->type) {
    case Type::Q8_0:
      return product<Q8_0>(m);
    case Type::Q4_0:
      return product<Q4_0>(m);
    case Type::Q4_1:
      return product<Q4_1>(m);
    case Type::Q5_0:
      return product<Q5_0>(m);
    case Type::Q5_1:
      return product<Q5_1>(m);
    case Type::IQ4_NL:
      return product<IQ4_NL>(m);
    case Type::MXFP4:
      return product<MXFP4>(m);
    case Type::Q2_K:
      return product<Q2_K>(m);
    case Type::Q3_K:
      return product<Q3_K>(m);
    case Type::Q4_K:
      return product<Q4_K>(m);
    case Type::Q5_K:
      return product<Q5_K>(m);
    case Type::Q6_K:
      return product<Q6_K>(m);
    case Type::IQ4_XS:
      return product<IQ4_XS>(m);
    default:
      return;  // no other type has an integer definition
  }
}

}  // namespace

void add_matmul(Table& table) {
  table.set_product(Activation::q8_32, matmul_integers);
  table.set_product(Activation::q8_256, matmul_integers);
}

}  // namespace hadal::kernels::HADAL_WIDE
