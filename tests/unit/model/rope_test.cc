#include "model/rope.h"

#include <cmath>

#include <gtest/gtest.h>

namespace hadal::model {
namespace {

double base_frequency(double theta, size_t k, int64_t dim) {
  return std::pow(theta, -2.0 * static_cast<double>(k) / static_cast<double>(dim));
}

RopeConfig yarn(double theta, double factor, int64_t original, double fast, double slow) {
  RopeConfig c;
  c.theta = theta;
  c.scaling = RopeScaling::yarn;
  c.factor = factor;
  c.original_context = original;
  c.beta_fast = fast;
  c.beta_slow = slow;
  return c;
}

// The ramp's ends that follow from the published configs: up to `low` pairs keep their frequency,
// from `high` on they are divided by the factor, between them it falls strictly.
void expect_ramp(const RopeConfig& c, size_t low, size_t high) {
  const Rope rope(c, 64);
  const auto& f = rope.frequencies();
  ASSERT_EQ(f.size(), 32u);
  for (size_t k = 0; k < 32; ++k) {
    const double base = base_frequency(c.theta, k, 64);
    if (k <= low) {
      EXPECT_DOUBLE_EQ(f[k], base) << k;
    } else if (k >= high) {
      EXPECT_DOUBLE_EQ(f[k], base / c.factor) << k;
    } else {
      const double ramp = static_cast<double>(k - low) / static_cast<double>(high - low);
      EXPECT_NEAR(f[k], base * (1.0 - ramp + ramp / c.factor), 1e-12) << k;
    }
  }
}

TEST(Rope, YarnOfV3) {
  expect_ramp(yarn(1e4, 40, 4096, 32, 1), 10, 23);
}

TEST(Rope, YarnOfKimi) {  // both ends at 19.16: floor and ceil keep them apart
  expect_ramp(yarn(5e4, 32, 4096, 1, 1), 19, 20);
}

TEST(Rope, YarnOfV4) {
  expect_ramp(yarn(1.6e5, 16, 65536, 32, 1), 15, 25);
}

TEST(Rope, PlainAnglesAndMagnitude) {
  RopeConfig c;
  c.magnitude = 0.5;
  const Rope rope(c, 8);
  float cs[8];
  rope.angles(3, cs);
  for (size_t k = 0; k < 4; ++k) {
    const double angle = 3.0 * base_frequency(1e4, k, 8);
    EXPECT_FLOAT_EQ(cs[2 * k], static_cast<float>(0.5 * std::cos(angle)));
    EXPECT_FLOAT_EQ(cs[2 * k + 1], static_cast<float>(0.5 * std::sin(angle)));
  }
}

TEST(Rope, Llama3KeepsShortWavesAndStretchesLongOnes) {
  RopeConfig c;
  c.theta = 5e5;
  c.scaling = RopeScaling::llama3;
  c.factor = 8;
  c.original_context = 8192;
  const Rope rope(c, 128);
  const auto& f = rope.frequencies();
  EXPECT_DOUBLE_EQ(f[0], 1.0);
  for (size_t k = 0; k < 64; ++k) {
    const double base = base_frequency(5e5, k, 128);
    const double wavelength = 2.0 * M_PI / base;
    if (wavelength < 8192.0 / 4.0) {
      EXPECT_DOUBLE_EQ(f[k], base);
    } else if (wavelength > 8192.0) {
      EXPECT_DOUBLE_EQ(f[k], base / 8.0);
    } else {
      EXPECT_LT(f[k], base);
      EXPECT_GT(f[k], base / 8.0);
    }
  }
}

TEST(Rope, Factors) {
  RopeConfig c;
  c.scaling = RopeScaling::factors;
  c.factors = {1, 2, 4, 8};
  const Rope rope(c, 8);
  for (size_t k = 0; k < 4; ++k)
    EXPECT_DOUBLE_EQ(rope.frequencies()[k],
                     base_frequency(1e4, k, 8) / static_cast<double>(c.factors[k]));
}

}  // namespace
}  // namespace hadal::model
