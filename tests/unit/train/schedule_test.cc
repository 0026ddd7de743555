#include "train/schedule.h"

#include <gtest/gtest.h>

namespace hadal::train {
namespace {

TEST(Schedule, RisesStaysAndFalls) {
  const Schedule wsd{Schedule::Shape::wsd, 0.1, 0.4, 0.0};
  EXPECT_DOUBLE_EQ(wsd.factor(0.0), 0.0);
  EXPECT_DOUBLE_EQ(wsd.factor(0.05), 0.5);
  EXPECT_DOUBLE_EQ(wsd.factor(0.1), 1.0);
  EXPECT_DOUBLE_EQ(wsd.factor(0.6), 1.0);
  EXPECT_NEAR(wsd.factor(0.8), 0.5, 1e-12);
  EXPECT_DOUBLE_EQ(wsd.factor(1.0), 0.0);
  EXPECT_DOUBLE_EQ(wsd.factor(1.5), 0.0);  // a clock may pass the end
}

TEST(Schedule, CosineEndsAtItsFloor) {
  const Schedule cosine{Schedule::Shape::cosine, 0.2, 0.4, 0.1};
  EXPECT_DOUBLE_EQ(cosine.factor(0.1), 0.5);
  EXPECT_DOUBLE_EQ(cosine.factor(0.2), 1.0);
  EXPECT_NEAR(cosine.factor(0.6), 0.55, 1e-12);
  EXPECT_NEAR(cosine.factor(1.0), 0.1, 1e-12);
}

TEST(Schedule, NeedsNeitherRiseNorFall) {
  const Schedule constant{Schedule::Shape::wsd, 0.0, 0.0, 0.0};
  for (const double p : {0.0, 0.3, 1.0}) EXPECT_DOUBLE_EQ(constant.factor(p), 1.0);
}

}  // namespace
}  // namespace hadal::train
