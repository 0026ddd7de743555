// The formats with blocks of 256, compiled apart to keep builds parallel.
#include "kernels/avx512/panel.h"

namespace hadal::kernels::HADAL_WIDE {

template void panel<Q2_K>(const Matmul&);
template void panel<Q3_K>(const Matmul&);
template void panel<Q4_K>(const Matmul&);
template void panel<Q5_K>(const Matmul&);
template void panel<Q6_K>(const Matmul&);
template void panel<IQ4_XS>(const Matmul&);

}  // namespace hadal::kernels::HADAL_WIDE
