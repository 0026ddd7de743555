#include "infer/draft_controller.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "base/random.h"

namespace hadal::infer {
namespace {

// A machine and a text as the controller sees them: time passes only by its steps.
struct World {
  double plain_seconds = 0.05;  // a step of one sequence
  double row_cost = 0.3;        // what a further row adds, in plain steps
  double accepted = 0.8;        // of first drafts; of the later ones, this share of the one before
  double noise = 0.0;           // of each step's time; one in fifty takes three times as long
  int64_t sequences = 1;
};

class Simulation {
 public:
  explicit Simulation(uint64_t seed) : seed_(seed) {}

  // Generates steps until `tokens` more tokens are there.
  void run(const World& world, int64_t tokens) {
    const double end = tokens_ + static_cast<double>(tokens);
    while (tokens_ < end) step(world);
  }
  // Speed over that of plain decoding in the same worlds.
  double ratio() const { return plain_seconds_ / seconds_; }
  double share_drafted() const { return drafted_ / steps_; }
  DraftController& controller() { return controller_; }

 private:
  double uniform() { return random_uniform(seed_, 0, counter_++); }

  void step(const World& world) {
    const int64_t drafts = controller_.choose(world.sequences, world.sequences);
    DraftController::Step step{world.sequences, drafts * world.sequences, 0, 0};
    for (int64_t s = 0; s < world.sequences; ++s)
      for (int64_t depth = 0; depth < drafts; ++depth) {
        const bool accepted = uniform() < std::pow(world.accepted, static_cast<double>(depth + 1));
        controller_.verified(depth, accepted);
        if (!accepted) break;
        ++step.accepted;
      }
    const auto rows = static_cast<double>(world.sequences - 1 + step.drafts);
    const double base = 1 + world.row_cost * static_cast<double>(world.sequences - 1);
    double slowed = 1 + world.noise * (2 * uniform() - 1);
    if (world.noise > 0 && uniform() < 0.02) slowed *= 3;
    step.seconds = world.plain_seconds * (1 + world.row_cost * rows) * slowed;
    controller_.step(step);
    const auto gained = static_cast<double>(world.sequences + step.accepted);
    seconds_ += step.seconds;
    plain_seconds_ +=
        world.plain_seconds * base * slowed * gained / static_cast<double>(world.sequences);
    tokens_ += gained;
    ++steps_;
    drafted_ += drafts > 0;
  }

  uint64_t seed_, counter_ = 0;
  DraftController controller_{-1};
  double seconds_ = 0, plain_seconds_ = 0, tokens_ = 0, steps_ = 0, drafted_ = 0;
};

// The rule that this class is for: whatever a draft costs and however rarely it is right, and
// wherever the answer ends.
TEST(DraftController, NeverSlowerThanNinetySevenPercent) {
  for (const double cost : {0.05, 0.2, 0.5, 0.8, 1.0})
    for (const double accepted : {0.0, 0.1, 0.3, 0.6, 0.95})
      for (const int64_t sequences : {1, 4}) {
        const World world{.row_cost = cost, .accepted = accepted, .sequences = sequences};
        for (uint64_t seed = 0; seed < 10; ++seed) {
          Simulation simulation(seed);
          for (const int64_t tokens : {100 * sequences, 200 * sequences, 3000 * sequences}) {
            simulation.run(world, tokens);
            EXPECT_GT(simulation.ratio(), 0.97)
                << "cost " << cost << ", accepted " << accepted << ", " << sequences
                << " sequences, " << tokens << " tokens";
          }
        }
      }
}

TEST(DraftController, AnUntrainedLayerIsLeftAlone) {
  Simulation simulation(1);
  simulation.run({.row_cost = 0.4, .accepted = 0.0}, 4000);
  EXPECT_LT(simulation.share_drafted(), 0.02);
  EXPECT_GT(simulation.share_drafted(), 0.002) << "it is tried again from time to time";
  EXPECT_GT(simulation.ratio(), 0.985);
}

TEST(DraftController, ATrainedLayerIsUsed) {
  Simulation cheap(1), single(1);
  cheap.run({.row_cost = 0.1, .accepted = 0.85}, 2000);
  // Three drafts: 1 + .85 + .61 + .38 tokens for 1.3 steps.
  EXPECT_GT(cheap.ratio(), 2.0);
  single.run({.row_cost = 0.45, .accepted = 0.85}, 2000);
  EXPECT_GT(single.ratio(), 1.2);
  EXPECT_GT(single.share_drafted(), 0.9);
}

TEST(DraftController, ItChangesItsMindBothWays) {
  World world{.row_cost = 0.4, .accepted = 0.85};
  Simulation simulation(2);
  simulation.run(world, 1000);
  const double before = simulation.ratio();
  EXPECT_GT(before, 1.2);
  world.accepted = 0.05;
  Simulation alone(2);
  alone.run(world, 3000);
  EXPECT_GT(alone.ratio(), 0.97);
  world.accepted = 0.9;
  alone.run(world, 3000);
  EXPECT_GT(alone.ratio(), 1.1) << "text on which it pays came later";
}

TEST(DraftController, NoiseDoesNotBreakTheRule) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Simulation losing(seed), winning(seed);
    losing.run({.row_cost = 0.5, .accepted = 0.2, .noise = 0.2}, 2000);
    EXPECT_GT(losing.ratio(), 0.97);
    winning.run({.row_cost = 0.3, .accepted = 0.85, .noise = 0.2}, 2000);
    EXPECT_GT(winning.ratio(), 1.25);
  }
}

TEST(DraftController, PromptsAreReadWhileItPays) {
  DraftController controller(-1);
  controller.prompt(1.0, 0.08);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(controller.read_prompt()) << "nothing is known yet";
  Simulation losing(1);
  losing.controller().prompt(1.0, 0.08);
  losing.run({.row_cost = 0.9, .accepted = 0.0}, 500);
  int read = 0;
  for (int i = 0; i < 160; ++i) read += losing.controller().read_prompt();
  EXPECT_EQ(read, 10);
  losing.controller().prompt(10.0, 0.05);
  EXPECT_TRUE(losing.controller().read_prompt()) << "it costs next to nothing";
}

TEST(DraftController, AFixedNumberIsObeyed) {
  DraftController two(2);
  EXPECT_EQ(two.choose(1, 1), 2);
  two.step({1, 2, 0, 9.0});
  EXPECT_EQ(two.choose(1, 1), 2);
  EXPECT_EQ(two.choose(3, 0), 0) << "nobody can draft";
  EXPECT_TRUE(two.read_prompt());
}

}  // namespace
}  // namespace hadal::infer
