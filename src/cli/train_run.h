// A run of training from its settings to its files:
//
//   RUN/settings.txt            the settings as understood
//   RUN/metrics.jsonl           one line a step (docs/train.md)
//   RUN/samples.jsonl           text that the model wrote at each checkpoint
//   RUN/checkpoints/step-N/     the newest two, to go on from; each is a model
//   RUN/model/                  at the end: the model in BF16
#pragma once

#include <memory>

#include "cli/globals.h"
#include "cli/train_settings.h"
#include "format/load.h"

namespace hadal::cli {

// What the settings name, opened: the model's shape, its first weights if it starts from some.
struct TrainModel {
  model::ModelConfig config;
  std::unique_ptr<model::Model> weights;  // null: fresh ones
};
// Also fills in the settings' side files and bytes of tokens.
TrainModel open_train_model(TrainSettings& settings);

// resume: go on from the run's newest checkpoint, or begin if there is none. Throws Error, after a
// checkpoint where it was interrupted (SIGINT, SIGTERM).
void run_training(TrainSettings settings, bool resume, const Globals& globals);

// Parameters, memory, speed measured here, time and cost.
void print_plan(TrainSettings settings, const Globals& globals);

}  // namespace hadal::cli
