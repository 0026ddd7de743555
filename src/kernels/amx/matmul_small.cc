#include "kernels/amx/matmul.h"
#include "kernels/amx/small.h"

namespace hadal::kernels::HADAL_WIDE::amx {

void matmul_small(const Matmul& m) {
  switch (m.w->type) {
    case quant::Type::Q4_0:
      return small<Q4_0>(m);
    case quant::Type::Q4_1:
      return small<Q4_1>(m);
    case quant::Type::Q5_0:
      return small<Q5_0>(m);
    case quant::Type::Q5_1:
      return small<Q5_1>(m);
    case quant::Type::Q8_0:
      return small<Q8_0>(m);
    case quant::Type::IQ4_NL:
      return small<IQ4_NL>(m);
    default:
      return small<MXFP4>(m);
  }
}

}  // namespace hadal::kernels::HADAL_WIDE::amx
