#include "kernels/kernels.h"

namespace hadal::kernels {}
