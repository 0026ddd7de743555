#include "kernels/decode.h"
#include "kernels/tables.h"

namespace hadal::kernels {

void wide_native::decode_floats(const Matrix& w, int64_t row, int64_t begin, int64_t count,
                                float* out) {
  avx2::decode_floats(w, row, begin, count, out);
}

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
