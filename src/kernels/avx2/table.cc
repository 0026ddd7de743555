#include "kernels/tables.h"

namespace hadal::kernels {

const Table& avx2_table() {
  static const Table table = [] {
    Table t = ref_table();
    t.name = "avx2";
    return t;
  }();
  return table;
}

}  // namespace hadal::kernels
