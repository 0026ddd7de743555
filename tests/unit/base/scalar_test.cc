// Every code of each format, and the nearest code by search for conversions from float.
#include "base/scalar.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

#include "base/random.h"

namespace hadal {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// The value of sign, exponent and mantissa fields by the definition, for codes that are numbers.
double value(uint32_t code, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const auto mantissa = static_cast<double>(code & ((1U << mantissa_bits) - 1));
  const int exponent = static_cast<int>(code >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const double sign = (code >> (exponent_bits + mantissa_bits)) != 0 ? -1 : 1;
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

TEST(Scalar, DecodesEveryF16) {
  for (uint32_t code = 0; code < 0x10000; ++code) {
    const float x = f16_to_float(static_cast<uint16_t>(code));
    const bool special = (code & 0x7c00) == 0x7c00;
    if (!special) {
      ASSERT_EQ(x, value(code, 5, 10)) << code;
      ASSERT_EQ(float_to_f16(x), code);
    } else if ((code & 0x3ff) == 0) {
      ASSERT_EQ(x, (code & 0x8000) != 0 ? -infinity : infinity);
      ASSERT_EQ(float_to_f16(x), code);
    } else {
      ASSERT_TRUE(std::isnan(x));
      ASSERT_TRUE(std::isnan(f16_to_float(float_to_f16(x))));
    }
  }
}

TEST(Scalar, DecodesEveryFp8) {
  for (uint32_t code = 0; code < 0x100; ++code) {
    const float x = fp8_e4m3_to_float(static_cast<uint8_t>(code));
    if ((code & 0x7f) == 0x7f) {
      ASSERT_TRUE(std::isnan(x));
    } else {
      ASSERT_EQ(x, value(code, 4, 3)) << code;
      ASSERT_EQ(std::signbit(x), code >= 0x80);
    }
  }
}

TEST(Scalar, Bf16RoundsToNearestEven) {
  EXPECT_EQ(float_to_bf16(bits_float(0x3f808000)), 0x3f80);  // half-way, even below
  EXPECT_EQ(float_to_bf16(bits_float(0x3f818000)), 0x3f82);  // half-way, even above
  EXPECT_EQ(float_to_bf16(bits_float(0x3f808001)), 0x3f81);
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(float_to_bf16(-infinity), 0xff80);
  EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(bits_float(0x7f800001)))));
  for (uint32_t code = 0; code < 0x7f80; ++code) {
    ASSERT_EQ(float_to_bf16(bf16_to_float(static_cast<uint16_t>(code))), code);
  }
}

// A random float lies between two neighbouring codes; the nearer one must be chosen.
TEST(Scalar, F16RoundsToNearestEven) {
  for (uint64_t i = 0; i < 200000; ++i) {
    const auto code = static_cast<uint16_t>(random_uniform(1, 0, i) * 0x7bff);
    const double low = f16_to_float(code);
    const double high = f16_to_float(static_cast<uint16_t>(code + 1));
    const auto x = static_cast<float>(low + (high - low) * random_uniform(2, 0, i));
    const uint16_t got = float_to_f16(x);
    const bool takes_high = x - low > high - x || (x - low == high - x && (code & 1) == 1);
    ASSERT_EQ(got, code + (takes_high ? 1 : 0)) << x;
  }
  EXPECT_EQ(float_to_f16(65519.996F), 0x7bff);
  EXPECT_EQ(float_to_f16(65520.0F), 0x7c00);
  EXPECT_EQ(float_to_f16(0x1p-25F), 0);    // half of the smallest: even
  EXPECT_EQ(float_to_f16(0x1.8p-24F), 2);  // 1.5 of it: even
  EXPECT_EQ(float_to_f16(-0x1p-24F), 0x8001);
}

}  // namespace
}  // namespace hadal
