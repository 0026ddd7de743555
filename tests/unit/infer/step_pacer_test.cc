#include "infer/step_pacer.h"

#include <gtest/gtest.h>

namespace hadal::infer {
namespace {

// A machine on which a step costs so much, and each token so much more.
struct Machine {
  double step_s, token_s;
  double seconds(int64_t decodes, int64_t prompt) const {
    return step_s + token_s * static_cast<double>(decodes + prompt);
  }
};

// The pieces after a while of a long prompt beside an answer.
int64_t settled(StepPacer& pacer, const Machine& machine) {
  pacer.took(1, 0, machine.seconds(1, 0));
  for (int i = 0; i < 40; ++i)
    pacer.took(1, pacer.prompt_tokens(0), machine.seconds(1, pacer.prompt_tokens(0)));
  return pacer.prompt_tokens(0);
}

TEST(StepPacer, StepsWithPromptsLastUnderThreeTimesAsLong) {
  for (const Machine machine : {Machine{1e-3, 1e-5}, Machine{5e-2, 5e-4}, Machine{1e-4, 3e-6}}) {
    StepPacer pacer(512, 3);
    const int64_t piece = settled(pacer, machine);
    const double factor = machine.seconds(1, piece) / machine.seconds(1, 0);
    EXPECT_LT(factor, 3) << piece;
    EXPECT_GT(factor, 2) << piece;  // and no more is held back than has to be
  }
}

TEST(StepPacer, PiecesStayWithinTheirBounds) {
  StepPacer slow(512, 3), fast(512, 3), unbounded(512, 0);
  EXPECT_EQ(settled(slow, {1e-3, 1e-2}), 8);
  EXPECT_EQ(settled(unbounded, {1e-3, 1e-2}), 512);
  EXPECT_EQ(slow.prompt_tokens(3200), 100);
  EXPECT_EQ(slow.prompt_tokens(320'000), 512);
  EXPECT_EQ(settled(fast, {1, 1e-9}), 512);
}

TEST(StepPacer, NowAndThenAStepGoesWithoutPrompts) {
  StepPacer pacer(512, 3);
  int without = 0;
  for (int i = 0; i < 1500; ++i) {
    const int64_t piece = pacer.prompt_tokens(0);
    without += piece == 0 ? 1 : 0;
    // Ten times slower from the middle on: the pieces follow what it costs now.
    pacer.took(1, piece, Machine{i < 500 ? 1e-3 : 1e-2, 1e-5}.seconds(1, piece));
  }
  EXPECT_GE(without, 15);
  EXPECT_LE(without, 30);
  EXPECT_EQ(pacer.prompt_tokens(0), 512);
}

}  // namespace
}  // namespace hadal::infer
