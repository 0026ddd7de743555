#include "kernels/peak.h"

#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "base/scalar.h"

namespace hadal::kernels {
namespace {

// A loop that did less than it says, or whose sums the compiler dropped, would raise the limit that
// speeds are measured against.
TEST(PeakLoops, ComputeTheSumsThatTheyCount) {
  ASSERT_FALSE(peak_loops().empty());
  for (const PeakLoop& loop : peak_loops()) {
    const std::string name = loop.name;
    constexpr uint32_t rounds = 10;
    const uint32_t result = loop.run(rounds);
    if (name == "AMX int8 tiles") {
      EXPECT_EQ(result, rounds * 64 * 9);  // 64 products of 3 and 3
    } else if (name == "AMX BF16 tiles") {
      EXPECT_EQ(bits_float(result), rounds * 32.0f);
    } else if (name == "AVX-512 VNNI int8 dot") {
      EXPECT_EQ(result, 66 + 12 * rounds * 4 * 9);  // twelve chains that start at 0 to 11
    } else if (name == "AVX2 int8 dot") {
      EXPECT_EQ(result, 8 * rounds * 4 * 15);
    } else {
      EXPECT_EQ(loop.product, Product::fp32) << name;
      EXPECT_NEAR(bits_float(result), 12.0f, 1.0f) << name;
    }
  }
}

}  // namespace
}  // namespace hadal::kernels
