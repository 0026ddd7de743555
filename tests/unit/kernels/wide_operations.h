// The operations of kernels/wide.h by name, to be run on the bytes of three vectors. Compiled
// twice, with the instructions (wide_native_operations.cc) and with their portable twins; plain
// code.
#pragma once

#include <stdint.h>

namespace hadal::kernels {

struct Operation {
  const char* name;
  bool on_floats;  // operands are finite floats; otherwise any bits
  void (*run)(const uint8_t* a, const uint8_t* b, const uint8_t* c, uint8_t* out);
};

struct Operations {
  const Operation* list;
  int count;
};

namespace wide_native {
Operations operations();
}  // namespace wide_native
namespace wide_portable {
Operations operations();
}  // namespace wide_portable

}  // namespace hadal::kernels
