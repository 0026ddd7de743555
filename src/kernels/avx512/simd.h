// What the AVX-512 and AMX files share. Everything lives in the namespace of the operations that
// it is compiled with (kernels/wide.h).
#pragma once

#include "kernels/kernels.h"
#include "kernels/wide.h"

namespace hadal::kernels::HADAL_WIDE {

// 64 bytes for permutations and masks, made while compiling: pattern<f> loads f(0) ... f(63).
struct Bytes {
  alignas(64) uint8_t b[64];
};
template <class F>
static constexpr Bytes make_bytes(F f) {
  Bytes v = {};
  for (int i = 0; i < 64; ++i) v.b[i] = static_cast<uint8_t>(f(i));
  return v;
}
template <auto f>
HADAL_OP Ints pattern() {
  static constexpr Bytes v = make_bytes(f);
  return load(v.b);
}

// The products of integer formats.
void add_matmul(Table& table);

}  // namespace hadal::kernels::HADAL_WIDE
