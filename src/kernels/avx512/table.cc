#include "kernels/avx512/simd.h"
#include "kernels/tables.h"

namespace hadal::kernels::HADAL_WIDE {

void add_avx512(Table& table) {
  (void)table;
}

}  // namespace hadal::kernels::HADAL_WIDE
