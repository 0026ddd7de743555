#include "quant/random_blocks.h"

#include <cmath>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "quant/format.h"

namespace hadal::quant {
namespace {

TEST(RandomBlocks, HaveTheDeviationAskedForAndMeanZero) {
  constexpr int64_t n = 256 * 512;
  for (const Type type :
       {Type::F32, Type::F16, Type::BF16, Type::Q8_0, Type::Q4_0, Type::Q5_0, Type::Q5_1,
        Type::Q4_K, Type::Q5_K, Type::Q6_K, Type::IQ4_NL, Type::IQ4_XS}) {
    ASSERT_TRUE(can_randomize(type));
    for (const float deviation : {1.0f, 0.0078f}) {
      std::vector<char> blocks(row_bytes(type, n)), again(blocks.size());
      std::vector<float> x(n);
      random_row(type, deviation, 42, blocks.data(), n);
      random_row(type, deviation, 42, again.data(), n);
      EXPECT_EQ(std::memcmp(blocks.data(), again.data(), blocks.size()), 0);
      decode_row(type, blocks.data(), x.data(), n);
      double sum = 0.0, squares = 0.0;
      for (const float v : x) {
        ASSERT_TRUE(std::isfinite(v));
        sum += v;
        squares += static_cast<double>(v) * v;
      }
      const char* name = type_info(type).name;
      EXPECT_NEAR(std::sqrt(squares / n) / deviation, 1.0, 0.05) << name;
      EXPECT_LT(std::fabs(sum / n), 0.02 * deviation) << name;
      random_row(type, deviation, 43, again.data(), n);
      EXPECT_NE(std::memcmp(blocks.data(), again.data(), blocks.size()), 0) << name;
    }
  }
  EXPECT_FALSE(can_randomize(Type::I32));
}

TEST(RandomBlocks, Fp8CodesHaveTheirFixedDeviation) {
  constexpr int64_t n = 65536;
  std::vector<uint8_t> codes(n);
  std::vector<float> x(n);
  random_row(Type::FP8_E4M3, 1.0f, 42, codes.data(), n);
  decode_row(Type::FP8_E4M3, codes.data(), x.data(), n);
  double sum = 0.0, squares = 0.0;
  for (const float v : x) {
    ASSERT_TRUE(std::isfinite(v));
    sum += v;
    squares += static_cast<double>(v) * v;
  }
  EXPECT_NEAR(std::sqrt(squares / n) / fp8_deviation, 1.0, 0.02);
  EXPECT_LT(std::fabs(sum / n), 0.02 * fp8_deviation);
}

}  // namespace
}  // namespace hadal::quant
