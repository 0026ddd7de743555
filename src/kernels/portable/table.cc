#include "kernels/decode.h"
#include "kernels/tables.h"

namespace hadal::kernels {

void wide_portable::decode_floats(const Matrix& w, int64_t row, int64_t begin, int64_t count,
                                  float* out) {
  decode_part(w, row, begin, count, out);
}

const Table& portable_avx512_table() {
  static const Table table = [] {
    Table t = ref_table();
    t.name = "portable avx512";
    wide_portable::add_avx512(t);
    return t;
  }();
  return table;
}

const Table& portable_amx_table() {
  static const Table table = [] {
    Table t = portable_avx512_table();
    t.name = "portable amx";
    wide_portable::add_amx(t);
    return t;
  }();
  return table;
}

}  // namespace hadal::kernels
