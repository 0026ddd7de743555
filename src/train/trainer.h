// The loop of training: batches by step, gradients of their parts, one step of the optimizer, the
// experts' balance, checkpoints. A run that goes on from a checkpoint computes bit for bit what it
// would have computed without the stop, as long as its length is given in steps.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "train/checkpoint.h"
#include "train/options.h"
#include "train/ranks.h"
#include "train/shards.h"

namespace hadal::train {

struct StepReport {
  int64_t step = 0;                         // steps done, this one included
  double progress = 0;                      // of the run, behind it
  double rate = 0;                          // share of the full learning rate
  Losses losses;                            // means over the step's targets
  double bits_per_byte = 0;                 // 0: unknown
  double gradient_norm = 0;                 // before clipping
  bool skipped = false;                     // gradients were not finite: the weights are as before
  int64_t tokens = 0;                       // rows of this step
  double seconds = 0;                       // this step
  double run_seconds = 0;                   // all steps
  std::vector<std::vector<int64_t>> loads;  // layers with experts: rows that chose each
  std::vector<int64_t> dropped;  // choices that reached no expert: always 0, this engine drops none
};

class Trainer {
 public:
  // Opens the data. Throws Error(usage | file | format) if model, data and options do not fit.
  // Several ranks make the same calls, share the sequences of each step, and have the same weights
  // after it; the first one writes. ranks must outlive the trainer.
  Trainer(const model::ModelConfig& config, TrainOptions options, ThreadPool& pool,
          Ranks& ranks = alone());

  // One of these three comes first.
  void start();                             // fresh weights
  void start(const model::Model& weights);  // a checkpoint's weights, of this config
  // Under LoRA the weights are those that the run started from, and must outlive the trainer.
  void resume(const std::string& checkpoint, const model::Model& weights);

  bool done() const;
  // Throws Error(limit) at the third step whose gradients are not finite.
  StepReport step();

  // Whether the settings ask for a checkpoint now.
  bool checkpoint_due();
  // Writes checkpoints/step-N in the run's folder and removes old ones; returns its path.
  std::string checkpoint(const std::string& run);
  // The model as it is to be used: BF16, averaged weights where they are kept.
  void export_model(const std::string& folder);

  const TrainState& state() const { return state_; }
  const TrainOptions& options() const { return options_; }
  const data::Stream& stream() const { return *stream_; }
  Network& network() { return network_; }

 private:
  using Clock = std::chrono::steady_clock;

  double progress() const;
  double seconds() const;
  void open_stream();
  void begin();
  using Shard = std::vector<Batch>;  // its parts
  std::vector<Shard> own_shards() const;
  void accumulate(const std::vector<Shard>& shards, int64_t targets, bool with_mtp,
                  StepReport& report);
  void add_loads(const Batch& part, bool with_mtp, StepReport& report);
  void share_loads(StepReport& report);
  void count(const std::vector<Shard>& shards, int64_t& targets, int64_t& bytes,
             StepReport& report);
  double clock();

  TrainOptions options_;
  Ranks& ranks_;
  const int64_t shards_;  // of a step, all ranks together
  Context context_;
  Network network_;
  Optimizer optimizer_;
  std::unique_ptr<data::Stream> stream_;
  ShardSum shard_sum_;
  TrainState state_;
  double seconds_before_ = 0;  // of earlier processes
  Clock::time_point began_, last_checkpoint_;
};

}  // namespace hadal::train
