// The portable twins of the 64-byte operations equal the instructions, where this machine has them.
#define HADAL_PORTABLE_WIDE
#include <cmath>
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "base/scalar.h"
#include "kernels/cpu.h"
#include "unit/kernels/wide_operations.inc"

namespace hadal::kernels {
namespace {

struct Vector {
  alignas(64) uint8_t bytes[64 + 64];  // loads at odd addresses reach past 64
};

// Any bits, or corners: all zero, all ones, the ends of the signed ranges.
Vector any_bits(std::mt19937& random) {
  constexpr uint8_t corners[] = {0x00, 0xff, 0x80, 0x7f, 0x01};
  Vector v;
  const bool uniform = random() % 4 == 0, mixed = random() % 2 == 0;
  const uint8_t corner = corners[random() % 5];
  for (uint8_t& b : v.bytes)
    b = uniform                      ? corner
        : mixed && random() % 2 == 0 ? corners[random() % 5]
                                     : static_cast<uint8_t>(random());
  return v;
}

// Finite floats of any size, none zero, with small whole numbers, halves and subnormals among them.
Vector any_floats(std::mt19937& random) {
  Vector v;
  for (size_t i = 0; i < sizeof(v.bytes); i += 4) {
    float x = bits_float(static_cast<uint32_t>(random()));
    if (!std::isfinite(x) || x == 0.0f) x = 1.5f;
    if (random() % 3 == 0)
      x = 0.5f * static_cast<float>(static_cast<int>(random() % 41) - 20) + 0.25f;
    std::memcpy(v.bytes + i, &x, 4);
  }
  return v;
}

TEST(Wide, TwinsEqualInstructions) {
  if (!cpu_has_avx512()) GTEST_SKIP() << "no AVX-512 on this machine";
  const Operations native = wide_native::operations(), portable = wide_portable::operations();
  ASSERT_EQ(native.count, portable.count);
  std::mt19937 random(3);
  for (int i = 0; i < native.count; ++i) {
    const Operation& operation = native.list[i];
    for (int repeat = 0; repeat < 300; ++repeat) {
      Vector v[3];
      for (Vector& x : v) x = operation.on_floats ? any_floats(random) : any_bits(random);
      alignas(64) uint8_t expected[64], out[64];
      operation.run(v[0].bytes, v[1].bytes, v[2].bytes, expected);
      portable.list[i].run(v[0].bytes, v[1].bytes, v[2].bytes, out);
      ASSERT_EQ(std::memcmp(expected, out, 64), 0) << operation.name;
    }
  }
}

}  // namespace
}  // namespace hadal::kernels
