// What a run is, apart from its model and data: `hadal train` reads it from a file (docs/train.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/stream.h"
#include "format/convert.h"
#include "train/optimizer.h"
#include "train/schedule.h"

namespace hadal::train {

struct TrainOptions {
  uint64_t seed = 1;       // of the first weights and of the data's order
  int64_t steps = 0;       // a run has so many steps, or
  double budget_s = 0;     // lasts so long by the clock, if not 0: the schedule goes by it, too
  bool recompute = false;  // Network::set_recompute
  model::Precision precision = model::Precision::native;  // native: BF16 operands; or f32

  // Data. rows and length of `data` are a step's; seed is the run's. From the share `late_from` of
  // the run on, the sources weigh late_weights (empty: no change).
  data::StreamOptions data;
  int64_t part_rows = 16;  // sequences computed at one time: what memory allows
  // A step's gradient is the sum of so many equal shards of its sequences, added in pairs and pairs
  // of pairs: however many ranks share them, the sum is the same. 0: as shard_count() says.
  int64_t shards = 0;
  double late_from = 1;
  std::vector<double> late_weights;

  Lora lora;  // with it correction biases stay, too
  OptimizerOptions optimizer;
  Schedule schedule;
  LossWeights loss;
  double mtp_from = 0;          // the share of the run from which the MTP layer learns
  double balance_speed = 1e-3;  // of the router's correction bias; 0: left alone

  // Checkpoints: after so many minutes, or steps, if not 0.
  double checkpoint_minutes = 10;
  int64_t checkpoint_steps = 0;
  int64_t keep = 2;

  // Files to lie beside the weights (tokenizer.json ...), and bytes that each id stands for (0 for
  // special ones), for bits per byte; empty: unknown.
  std::vector<format::SideFile> side_files;
  std::vector<int32_t> token_bytes;
  uint64_t tokenizer_hash = 0;  // of its tokenizer.json, as token stores have it; 0: unknown
  std::string settings;  // the file's text as understood: kept beside checkpoints, to compare
};

}  // namespace hadal::train
