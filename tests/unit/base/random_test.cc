#include "base/random.h"

#include <cmath>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

namespace hadal {
namespace {

// The known answers of the Random123 distribution (kat_vectors, philox4x32 10 rounds).
TEST(Philox, MatchesPublishedVectors) {
  using Block = std::array<uint32_t, 4>;
  EXPECT_EQ(philox(0, 0, 0), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(~0ULL, ~0ULL, ~0ULL), (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, IsAFunctionOfItsKeys) {
  EXPECT_EQ(random_uniform(1, 2, 3), random_uniform(1, 2, 3));
  EXPECT_NE(random_uniform(1, 2, 3), random_uniform(2, 2, 3));
  EXPECT_NE(random_uniform(1, 2, 3), random_uniform(1, 3, 3));
  EXPECT_NE(random_uniform(1, 2, 3), random_uniform(1, 2, 4));
}

TEST(Random, UniformFillsTheUnitInterval) {
  std::vector<int> counts(10);
  for (uint64_t i = 0; i < 10000; ++i) {
    const double u = random_uniform(7, 0, i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    ++counts[static_cast<size_t>(u * 10)];
  }
  for (const int count : counts) EXPECT_NEAR(count, 1000, 150);  // five standard deviations
}

TEST(Random, NormalHasItsMoments) {
  double sum = 0;
  double squares = 0;
  constexpr int draws = 20000;
  for (uint64_t i = 0; i < draws; ++i) {
    const double x = random_normal(7, 1, i);
    ASSERT_TRUE(std::isfinite(x));
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / draws, 0.0, 0.04);
  EXPECT_NEAR(squares / draws, 1.0, 0.06);
}

}  // namespace
}  // namespace hadal
