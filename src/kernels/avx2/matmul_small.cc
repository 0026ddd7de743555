// The formats with blocks of 32, compiled apart to keep builds parallel.
#include "kernels/avx2/panel.h"
#include "kernels/avx2/stream.h"

namespace hadal::kernels::avx2 {

template void stream<Q8_0>(const Matmul&);
template void panel<Q8_0>(const Matmul&);
template void stream<Q4_0>(const Matmul&);
template void panel<Q4_0>(const Matmul&);
template void stream<Q4_1>(const Matmul&);
template void panel<Q4_1>(const Matmul&);
template void stream<Q5_0>(const Matmul&);
template void panel<Q5_0>(const Matmul&);
template void stream<Q5_1>(const Matmul&);
template void panel<Q5_1>(const Matmul&);
template void stream<IQ4_NL>(const Matmul&);
template void panel<IQ4_NL>(const Matmul&);
template void stream<MXFP4>(const Matmul&);
template void panel<MXFP4>(const Matmul&);

}  // namespace hadal::kernels::avx2
