// The formats with blocks of 32, compiled apart to keep builds parallel.
#include "kernels/avx512/panel.h"

namespace hadal::kernels::HADAL_WIDE {

template void panel<Q8_0>(const Matmul&);
template void panel<Q4_0>(const Matmul&);
template void panel<Q4_1>(const Matmul&);
template void panel<Q5_0>(const Matmul&);
template void panel<Q5_1>(const Matmul&);
template void panel<IQ4_NL>(const Matmul&);
template void panel<MXFP4>(const Matmul&);

}  // namespace hadal::kernels::HADAL_WIDE
