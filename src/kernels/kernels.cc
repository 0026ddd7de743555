#include "kernels/kernels.h"

#include <cstdlib>
#include <cstring>

#include <cpuid.h>

#include "base/error.h"
#include "kernels/activation.h"
#include "kernels/tables.h"

namespace hadal::kernels {
namespace {

#ifdef HADAL_HAVE_AVX2
// AVX2, FMA and F16C, and an operating system that saves the upper halves of the registers (XCR0
// bits 1 and 2): a virtual machine or kernel option may hide the latter.
bool has_avx2() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return false;
  constexpr unsigned needed = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
  if ((c & needed) != needed) return false;
  unsigned xcr0 = 0, xcr0_high = 0;
  __asm__ volatile("xgetbv" : "=a"(xcr0), "=d"(xcr0_high) : "c"(0));
  if ((xcr0 & 6u) != 6u) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  return (b & bit_AVX2) != 0;
}
#endif

const Table& choose() {
  const char* wanted = std::getenv("HADAL_ISA");
  if (wanted != nullptr && *wanted != '\0') {
    const Table* table = table_by_name(wanted);
    if (table == nullptr) {
      fail(ErrorKind::usage, "HADAL_ISA={}: this machine or build has no such kernels (ref{})",
           wanted, table_by_name("avx2") != nullptr ? ", avx2" : "");
    }
    return *table;
  }
  const Table* best = table_by_name("avx2");
  return best != nullptr ? *best : ref_table();
}

}  // namespace

int64_t activation_bytes(Activation activation, int64_t k) {
  if (activation == Activation::f32) return (k * 4 + 63) & ~int64_t{63};
  return q8_bytes(activation, k);
}

Activation native_activation(quant::Type type) {
  switch (type) {
    case quant::Type::Q4_0:
    case quant::Type::Q4_1:
    case quant::Type::Q5_0:
    case quant::Type::Q5_1:
    case quant::Type::Q8_0:
    case quant::Type::IQ4_NL:
    case quant::Type::MXFP4:
      return Activation::q8_32;
    case quant::Type::Q2_K:
    case quant::Type::Q3_K:
    case quant::Type::Q4_K:
    case quant::Type::Q5_K:
    case quant::Type::Q6_K:
    case quant::Type::IQ4_XS:
      return Activation::q8_256;
    case quant::Type::F32:
    case quant::Type::F16:
    case quant::Type::BF16:
    case quant::Type::FP8_E4M3:
    case quant::Type::I32:
      return Activation::f32;
  }
  return Activation::f32;
}

const Table* table_by_name(const char* name) {
  if (std::strcmp(name, "ref") == 0) return &ref_table();
#ifdef HADAL_HAVE_AVX2
  if (std::strcmp(name, "avx2") == 0) {
    static const bool available = has_avx2();
    return available ? &avx2_table() : nullptr;
  }
#endif
  return nullptr;
}

const Table& active() {
  static const Table& table = choose();
  return table;
}

}  // namespace hadal::kernels
