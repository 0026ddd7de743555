// What this processor and its operating system let kernels use.
#pragma once

namespace hadal::kernels {

// AVX2, FMA and F16C.
bool cpu_has_avx2();
// AVX-512 F, BW, DQ, VL, VNNI and VBMI: Ice Lake, Zen 4 and later.
bool cpu_has_avx512();
// AVX-512 as above and AMX with INT8 and BF16 tiles. The first call asks the system for the tiles'
// state, for the whole process.
bool cpu_has_amx();

}  // namespace hadal::kernels
