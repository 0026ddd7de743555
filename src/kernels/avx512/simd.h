// What the AVX-512 and AMX files share. Everything lives in the namespace of the operations that
// it is compiled with (kernels/wide.h).
#pragma once

#include "kernels/kernels.h"
#include "kernels/wide.h"

namespace hadal::kernels::HADAL_WIDE {}  // namespace hadal::kernels::HADAL_WIDE
