#include "kernels/amx/large.h"
#include "kernels/amx/matmul.h"

namespace hadal::kernels::HADAL_WIDE::amx {

void matmul_large(const Matmul& m) {
  switch (m.w->type) {
    case quant::Type::Q2_K:
      return large<Q2_K>(m);
    case quant::Type::Q3_K:
      return large<Q3_K>(m);
    case quant::Type::Q4_K:
      return large<Q4_K>(m);
    case quant::Type::Q5_K:
      return large<Q5_K>(m);
    case quant::Type::Q6_K:
      return large<Q6_K>(m);
    default:
      return large<IQ4_XS>(m);
  }
}

}  // namespace hadal::kernels::HADAL_WIDE::amx
