#include "infer/scheduler.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "base/random.h"

namespace hadal::infer {
namespace {

SequenceView running(uint64_t id, int64_t computed, int64_t known, int64_t pages_held) {
  return {id, true, false, false, computed, known, known, pages_held, 0};
}

SequenceView waiting(uint64_t id, int64_t known) {
  return {id, false, false, false, 0, known, known, 0, 0};
}

std::map<uint64_t, int64_t> chunks(const Plan& plan) {
  std::map<uint64_t, int64_t> result;
  for (const Plan::Chunk& chunk : plan.chunks) result[chunk.id] = chunk.tokens;
  return result;
}

using Ids = std::vector<uint64_t>;
using Chunks = std::map<uint64_t, int64_t>;

TEST(Scheduler, DecodesComeBeforePrompts) {
  const std::vector<SequenceView> queue = {running(1, 0, 1000, 0), running(2, 70, 71, 2),
                                           running(3, 10, 11, 1)};
  const Plan plan = plan_step(queue, {130, 32, 100, 64});
  EXPECT_EQ(chunks(plan), (Chunks{{1, 128}, {2, 1}, {3, 1}}));
}

TEST(Scheduler, BesideDecodesPromptsAreBounded) {
  const std::vector<SequenceView> queue = {running(1, 0, 1000, 0), running(2, 70, 71, 2)};
  EXPECT_EQ(chunks(plan_step(queue, {512, 32, 100, 64, 20})), (Chunks{{1, 20}, {2, 1}}));
  EXPECT_EQ(chunks(plan_step(queue, {512, 32, 100, 64, 0})), (Chunks{{2, 1}}));
  // Alone it takes all.
  EXPECT_EQ(chunks(plan_step({queue.data(), 1}, {512, 32, 100, 64, 20})), (Chunks{{1, 512}}));
}

TEST(Scheduler, AShortPromptIsNotHeldUpByALongOne) {
  const std::vector<SequenceView> queue = {running(1, 0, 10000, 0), running(2, 0, 9000, 0),
                                           waiting(3, 40)};
  const Plan plan = plan_step(queue, {512, 32, 1000, 64});
  EXPECT_EQ(plan.admit, Ids{3});
  // The oldest gets its half, the shortest all it wants, the second what is left.
  EXPECT_EQ(chunks(plan), (Chunks{{1, 256}, {2, 192}, {3, 40}}));
}

TEST(Scheduler, AChunkEndsWhereItMust) {
  SequenceView view = running(1, 0, 100, 0);
  view.chunk_end = 90;
  EXPECT_EQ(chunks(plan_step(std::vector{view}, {512, 32, 10, 64})), (Chunks{{1, 90}}));
}

TEST(Scheduler, WaitingOnesEnterInOrderAndOnlyIfTheyFit) {
  const std::vector<SequenceView> queue = {running(1, 64, 200, 1), waiting(2, 300), waiting(3, 10)};
  // 4 - 1 pages are promised to the first; the second needs 5.
  EXPECT_EQ(plan_step(queue, {512, 32, 7, 64}).admit, Ids{}) << "3 may not overtake 2";
  EXPECT_EQ(plan_step(queue, {512, 32, 8, 64}).admit, Ids{2});
  EXPECT_EQ(plan_step(queue, {512, 32, 9, 64}).admit, (Ids{2, 3}));
  EXPECT_EQ(plan_step(queue, {512, 2, 9, 64}).admit, Ids{2}) << "sequences_max";
}

TEST(Scheduler, PrefixesThatOthersHoldCostNothing) {
  SequenceView view = waiting(2, 300);
  view.pages_held = 4;
  view.computed = 256;
  const std::vector<SequenceView> kept = {view};
  EXPECT_EQ(plan_step(kept, {512, 32, 4, 64}).admit, Ids{}) << "kept pages count as available";
  view.pages_others = 4;
  const std::vector<SequenceView> held = {running(1, 320, 321, 6), view};
  const Plan plan = plan_step(held, {512, 32, 1, 64});
  EXPECT_EQ(plan.admit, Ids{2});
  EXPECT_EQ(chunks(plan), (Chunks{{1, 1}, {2, 44}}));
}

TEST(Scheduler, TheYoungestGivesWayToTheOldest) {
  const std::vector<SequenceView> queue = {running(1, 64, 65, 1), running(2, 10, 11, 1),
                                           running(3, 70, 71, 2), waiting(4, 10)};
  const Plan plan = plan_step(queue, {512, 32, 0, 64});
  EXPECT_EQ(plan.preempt, Ids{3});
  EXPECT_EQ(plan.admit, Ids{}) << "nobody takes the place that was just made";
  EXPECT_EQ(chunks(plan), (Chunks{{1, 1}, {2, 1}}));
  // The youngest itself pauses.
  const std::vector<SequenceView> tail = {running(1, 10, 11, 1), running(2, 64, 65, 1)};
  const Plan pause = plan_step(tail, {512, 32, 0, 64});
  EXPECT_EQ(pause.preempt, Ids{});
  EXPECT_EQ(chunks(pause), (Chunks{{1, 1}}));
}

TEST(Scheduler, BusySequencesKeepWhatTheyHave) {
  std::vector<SequenceView> queue = {running(1, 64, 65, 1), running(2, 0, 128, 2)};
  queue[1].busy = true;
  // No page is left for the first, and the second must not lose its own.
  Plan plan = plan_step(queue, {512, 32, 0, 64});
  EXPECT_TRUE(plan.preempt.empty());
  EXPECT_TRUE(plan.chunks.empty());
  plan = plan_step(queue, {512, 32, 1, 64});
  EXPECT_EQ(chunks(plan), (Chunks{{1, 1}}));
}

TEST(Scheduler, LongPromptsMayHaveToWait) {
  const std::vector<SequenceView> queue = {running(1, 70, 71, 2), running(2, 0, 900, 0),
                                           running(3, 0, 20, 0)};
  SchedulerLimits limits{512, 32, 100, 64, 8};
  limits.prompt_left_max = 64;
  EXPECT_EQ(chunks(plan_step(queue, limits)), (Chunks{{1, 1}, {3, 8}}));
}

TEST(Scheduler, HeldSequencesPause) {
  SequenceView view = running(2, 0, 100, 0);
  view.held = true;
  const std::vector<SequenceView> queue = {running(1, 0, 100, 0), view};
  EXPECT_EQ(chunks(plan_step(queue, {512, 32, 10, 64})), (Chunks{{1, 100}}));
}

// A simulation of many random queues: budgets and pages are kept, everybody finishes, and the
// oldest goes on in every step.
TEST(Scheduler, RandomQueuesFinish) {
  struct Job {
    SequenceView view;
    int64_t answer;  // tokens still to be generated
  };
  size_t preemptions = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    uint64_t counter = 0;
    const auto below = [&](int64_t n) {
      return static_cast<int64_t>(random_uniform(seed, 0, counter++) * static_cast<double>(n));
    };
    const int64_t page = 1 + below(8), total = 4 + below(40);
    const SchedulerLimits base{1 + below(60), 1 + below(8), 0, page, 1 + below(60)};
    std::vector<Job> jobs;  // in order of arrival
    int64_t arrivals = 30, free = total, steps = 0;
    uint64_t next = 1;
    const auto pages_for = [&](int64_t positions) { return (positions + page - 1) / page; };
    while (arrivals > 0 || !jobs.empty()) {
      ASSERT_LT(++steps, 100000) << "seed " << seed << ": no progress";
      if (arrivals > 0 && below(4) == 0) {
        --arrivals;
        const int64_t whole = 2 + below(total * page - 1);  // prompt and answer: fits alone
        const int64_t prompt = 1 + below(whole - 1);
        jobs.push_back({waiting(next++, prompt), whole - prompt});
      }
      std::vector<SequenceView> queue;
      for (const Job& job : jobs) queue.push_back(job.view);
      SchedulerLimits limits = base;
      limits.pages_available = free;
      const Plan plan = plan_step(queue, limits);
      const auto job_of = [&](uint64_t id) -> Job& {
        return *std::find_if(jobs.begin(), jobs.end(),
                             [&](const Job& job) { return job.view.id == id; });
      };
      preemptions += plan.preempt.size();
      for (const uint64_t id : plan.preempt) {
        SequenceView& view = job_of(id).view;
        ASSERT_TRUE(view.running);
        free += view.pages_held;
        view = waiting(id, view.known);
      }
      for (const uint64_t id : plan.admit) {
        ASSERT_FALSE(job_of(id).view.running);
        job_of(id).view.running = true;
      }
      int64_t budget = base.step_tokens;
      for (const Plan::Chunk& chunk : plan.chunks) {
        SequenceView& view = job_of(chunk.id).view;
        ASSERT_TRUE(view.running);
        ASSERT_GE(chunk.tokens, 1);
        ASSERT_LE(view.computed + chunk.tokens, view.known);
        budget -= chunk.tokens;
        view.computed += chunk.tokens;
        free -= pages_for(view.computed) - view.pages_held;
        view.pages_held = pages_for(view.computed);
      }
      ASSERT_GE(budget, 0);
      ASSERT_GE(free, 0);
      ASSERT_LE(
          std::count_if(jobs.begin(), jobs.end(), [](const Job& j) { return j.view.running; }),
          base.sequences_max);
      if (!jobs.empty()) {
        ASSERT_FALSE(plan.chunks.empty()) << "seed " << seed;
        ASSERT_EQ(plan.chunks.front().id, jobs.front().view.id) << "the oldest goes on";
      }
      for (Job& job : jobs) {
        if (job.view.computed < job.view.known) continue;
        ++job.view.known;
        job.view.chunk_end = job.view.known;
        if (--job.answer == 0) free += job.view.pages_held;
      }
      std::erase_if(jobs, [](const Job& job) { return job.answer == 0; });
    }
    ASSERT_EQ(free, total);
  }
  EXPECT_GT(preemptions, 100u) << "the simulation never ran out of pages";
}

}  // namespace
}  // namespace hadal::infer
