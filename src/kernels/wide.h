// The named operations of 64-byte vectors and of tiles that the AVX-512 and AMX kernels are written
// in. The same kernel sources are compiled twice: with the instructions, and with a portable twin
// of each operation that is exact to the bit (HADAL_PORTABLE_WIDE), so that packing, tails, order
// of sums and scheduling are tested on machines that lack the instructions.
#pragma once

#ifdef HADAL_PORTABLE_WIDE
#define HADAL_WIDE wide_portable
#include "kernels/tiles_portable.h"
#include "kernels/wide_portable.h"
#else
#define HADAL_WIDE wide_native
#include "kernels/tiles_native.h"
#include "kernels/wide_native.h"
#endif
