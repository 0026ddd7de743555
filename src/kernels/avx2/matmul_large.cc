// The formats with blocks of 256, compiled apart to keep builds parallel.
#include "kernels/avx2/panel.h"
#include "kernels/avx2/stream.h"

namespace hadal::kernels::avx2 {

template void stream<Q2_K>(const Matmul&);
template void panel<Q2_K>(const Matmul&);
template void stream<Q3_K>(const Matmul&);
template void panel<Q3_K>(const Matmul&);
template void stream<Q4_K>(const Matmul&);
template void panel<Q4_K>(const Matmul&);
template void stream<Q5_K>(const Matmul&);
template void panel<Q5_K>(const Matmul&);
template void stream<Q6_K>(const Matmul&);
template void panel<Q6_K>(const Matmul&);
template void stream<IQ4_XS>(const Matmul&);
template void panel<IQ4_XS>(const Matmul&);

}  // namespace hadal::kernels::avx2
