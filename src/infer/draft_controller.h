// How many drafts pay. A draft that is accepted saves a step; each one costs its own prediction and
// a row of the verifying step, which with experts reads weights that the step would else have left
// alone. What that costs depends on model, machine, load and batch, and how often drafts are
// accepted on the text: so both are measured while answers are generated, and no clock is read in
// here.
//
// The rule that keeps it from ever costing much is a purse. Every step puts in 1.5% of the time
// that plain decoding would have taken, and what speculation saves; what it costs is taken out.
// Drafts are made only if the purse could pay for the loss of all of them. So after any number of
// steps no more than 1.5% and one step's time has been lost, however wrong the estimates are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace hadal::infer {

// The median of the last few values: deaf to a step that another program slowed down.
class RecentMedian {
 public:
  void add(double value);
  int64_t count() const { return static_cast<int64_t>(count_); }  // of all values so far
  double value() const { return median_; }                        // 0 without values

 private:
  static constexpr size_t kept = 7;
  std::array<double, kept> values_{};
  size_t count_ = 0;
  double median_ = 0;
};

class DraftController {
 public:
  static constexpr int64_t adaptive_most = 3;

  // fixed: drafts of every step; negative: as many as pay, at most adaptive_most.
  explicit DraftController(int64_t fixed);

  // Drafts for each of the `drafting` among `sequences` that generate in the next step.
  int64_t choose(int64_t sequences, int64_t drafting);
  // Whether the MTP layer should read the next prompt. It need not if speculation does not pay,
  // unless that costs next to nothing; but now and then it must, or nothing could be tried again.
  bool read_prompt();

  // ---- what happened
  struct Step {
    int64_t sequences = 0;  // that generated
    int64_t drafts = 0;     // verified, of all sequences
    int64_t accepted = 0;
    double seconds = 0;  // the prediction of its drafts included
  };
  void step(const Step& step);  // one without prompts
  // Of a draft behind `depth` others that were accepted.
  void verified(int64_t depth, bool accepted);
  void extra(double seconds);                            // spent on preparations
  void prompt(double main_seconds, double mtp_seconds);  // of a piece of a prompt

  double acceptance(int64_t depth) const;  // estimated, [0, 1]

 private:
  struct Cost {
    RecentMedian plain;  // seconds of a step without drafts
    RecentMedian draft;  // seconds that each draft adds
    int64_t since_plain = 0;
  };
  struct Evidence {
    double tried = 0, accepted = 0;
  };
  Cost& cost_of(int64_t sequences);
  double speedup(const Cost& cost, int64_t sequences, int64_t drafting, int64_t drafts) const;

  int64_t fixed_;
  std::vector<Cost> costs_;  // by sequences
  std::array<Evidence, adaptive_most> evidence_;
  double purse_ = 0;  // seconds
  bool opened_ = false;
  bool losing_ = false;
  int64_t steps_ = 0, next_trial_ = 0, trial_interval_ = 1;
  double prompt_seconds_ = 0, prompt_mtp_seconds_ = 0;
  int64_t prompts_refused_ = 0;
};

}  // namespace hadal::infer
