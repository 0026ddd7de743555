#include "kernels/tables.h"

namespace hadal::kernels {

const Table& avx512_table() {
  static const Table table = [] {
    Table t = avx2_table();
    t.name = "avx512";
    wide_native::add_avx512(t);
    return t;
  }();
  return table;
}

const Table& amx_table() {
  static const Table table = [] {
    Table t = avx512_table();
    t.name = "amx";
    wide_native::add_amx(t);
    return t;
  }();
  return table;
}

}  // namespace hadal::kernels
