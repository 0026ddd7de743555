#include "infer/step_pacer.h"

#include <gtest/gtest.h>

namespace hadal::infer {
namespace {

// A machine on which a pass with answers takes so long, and a layer of a prompt's pass so long and
// so much more for each token.
struct Machine {
  double answer_s, layer_s, token_s;
  double layer(int64_t tokens) const { return layer_s + token_s * static_cast<double>(tokens); }
};

// The piece after a while of a long prompt beside an answer.
int64_t settled(StepPacer& pacer, const Machine& machine) {
  for (int i = 0; i < 40; ++i) {
    pacer.answered(machine.answer_s);
    pacer.computed(pacer.prompt_tokens(), machine.layer(pacer.prompt_tokens()));
  }
  return pacer.prompt_tokens();
}

TEST(StepPacer, ALayerBesideAnAnswerTakesUnderThreeTimesAsLong) {
  for (const Machine machine :
       {Machine{1e-3, 1e-4, 1e-5}, Machine{6e-2, 2e-3, 2e-4}, Machine{3e-4, 5e-5, 3e-6}}) {
    StepPacer pacer(512, 3);
    const int64_t piece = settled(pacer, machine);
    const double factor = (machine.answer_s + machine.layer(piece)) / machine.answer_s;
    EXPECT_LT(factor, 3) << piece;
    EXPECT_GT(factor, 2) << piece;  // and no more is held back than has to be
    EXPECT_TRUE(pacer.allows(machine.layer(piece)));
    EXPECT_FALSE(pacer.allows(2.1 * machine.answer_s));
  }
}

TEST(StepPacer, PiecesStayWithinTheirBounds) {
  StepPacer slow(512, 3), fast(512, 3), unbounded(512, 0), small(5, 3);
  EXPECT_EQ(settled(slow, {1e-3, 1, 1}), 8);
  EXPECT_EQ(settled(unbounded, {1e-3, 1, 1}), 512);
  EXPECT_TRUE(unbounded.allows(1e9));
  EXPECT_EQ(settled(fast, {1, 1e-9, 1e-9}), 512);
  EXPECT_EQ(small.prompt_tokens(), 5);
}

TEST(StepPacer, FollowsWhatAnAnswerTakesNow) {
  StepPacer pacer(512, 3);
  const int64_t before = settled(pacer, {1e-3, 1e-4, 1e-5});
  pacer.answered(5);  // a hiccup is not believed at once
  EXPECT_FALSE(pacer.allows(2e-3));
  EXPECT_GT(settled(pacer, {4e-3, 1e-4, 1e-5}), 3 * before);
  EXPECT_NEAR(static_cast<double>(settled(pacer, {1e-3, 1e-4, 1e-5})), static_cast<double>(before),
              2);
}

}  // namespace
}  // namespace hadal::infer
