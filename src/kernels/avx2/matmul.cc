// Which kernel meets which integer format.
#include "kernels/avx2/quantised.h"

namespace hadal::kernels::avx2 {
namespace {

using quant::Type;

// From this many activations on, unpacking eight rows into a panel pays.
constexpr int64_t panel_tokens_min = 3;

template <class F>
void product(const Matmul& m) {
  if (m.n < panel_tokens_min) {
    stream<F>(m);
  } else {
    panel<F>(m);
  }
}

}  // namespace

void matmul_quantised(const Matmul& m) {
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

}  // namespace hadal::kernels::avx2
