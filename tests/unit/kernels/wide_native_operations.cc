// Compiled with the instructions; called only where the processor has them.
#include "unit/kernels/wide_operations.inc"
