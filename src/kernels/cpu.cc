#include "kernels/cpu.h"

#include <stdint.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace hadal::kernels {
namespace {

#if defined(__x86_64__)

struct Leaf {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Leaf leaf(unsigned number) {
  Leaf l;
  if (__get_cpuid_count(number, 0, &l.a, &l.b, &l.c, &l.d) == 0) return {};
  return l;
}

bool all(unsigned value, unsigned bits) {
  return (value & bits) == bits;
}

// Registers that the system saves: a virtual machine or kernel option may hide some.
uint32_t saved_state() {
  if (!all(leaf(1).c, bit_OSXSAVE)) return 0;
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

bool detect_avx2() {
  return all(leaf(1).c, bit_AVX | bit_FMA | bit_F16C) && all(saved_state(), 0x6) &&
         all(leaf(7).b, bit_AVX2);
}

bool detect_avx512() {
  const Leaf seven = leaf(7);
  constexpr unsigned vbmi = 1u << 1, vnni = 1u << 11;
  return detect_avx2() && all(saved_state(), 0xe6) &&
         all(seven.b, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL) &&
         all(seven.c, vbmi | vnni);
}

// Linux hands out the tiles' 8 KB a thread only to processes that ask (Documentation/arch/x86/
// xstate.rst): arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA).
bool detect_amx() {
  constexpr unsigned bf16 = 1u << 22, tile = 1u << 24, int8 = 1u << 25;
  if (!detect_avx512() || !all(leaf(7).d, bf16 | tile | int8) || !all(saved_state(), 0x60000))
    return false;
#if defined(__linux__)
  constexpr long request_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

#else

bool detect_avx2() {
  return false;
}
bool detect_avx512() {
  return false;
}
bool detect_amx() {
  return false;
}

#endif

}  // namespace

bool cpu_has_avx2() {
  static const bool has = detect_avx2();
  return has;
}

bool cpu_has_avx512() {
  static const bool has = detect_avx512();
  return has;
}

bool cpu_has_amx() {
  static const bool has = detect_amx();
  return has;
}

}  // namespace hadal::kernels
