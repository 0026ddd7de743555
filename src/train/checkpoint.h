// Checkpoints: folders that `hadal run` and transformers load as any model, with what training
// needs to go on. They appear whole or not at all: written beside, flushed, renamed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "format/convert.h"
#include "train/optimizer.h"

namespace hadal::train {

// Where a run stands, the weights and moments aside.
struct TrainState {
  int64_t step = 0;        // steps done
  int64_t late_step = -1;  // the first with the late weights of the data; -1: not come yet
  int64_t tokens = 0;      // rows learnt from
  int64_t skipped = 0;     // steps left out since gradients were not finite
  double seconds = 0;      // by the clock, pauses aside
  int64_t optimizer_steps = 0;
  std::vector<uint64_t> data;  // hashes of the sources
  uint64_t base = 0;           // hash of the model that adapters are for; 0: all weights learn
  std::string settings;
};

// "step-00000120", the name of the checkpoint behind so many steps.
std::string checkpoint_name(int64_t step);
// The paths of complete checkpoints in a folder, the oldest first; none if it does not exist.
std::vector<std::string> list_checkpoints(const std::string& folder);

struct ModelFiles {
  const model::ModelConfig& config;
  const std::vector<format::SideFile>& side_files;
};

// config.json, model.safetensors (F32, or BF16, adapters merged; shards if it is large) and the
// side files. An existing folder is replaced. Throws Error(file), for example if the disk is full,
// and leaves what was there.
void write_model(const std::string& folder, const Parameters& parameters, const ModelFiles& files,
                 bool bf16);
// The same with optimizer.safetensors, which has adapters too, and training.json. moments: all of
// the optimizer's state.
void write_checkpoint(const std::string& folder, Parameters& parameters, const ModelFiles& files,
                      const std::vector<Optimizer::State>& moments, int64_t optimizer_steps,
                      const TrainState& state);
// Removes all but the newest `keep`, and what interrupted writing has left.
void remove_old_checkpoints(const std::string& folder, int64_t keep);

// The text of training.json. Throws Error(format | unsupported) naming path and fault.
TrainState parse_train_state(std::string_view text, const std::string& path);
// The state and the optimizer's of a checkpoint, and adapters. Other weights are loaded as any
// model's. Throws Error(file | format) naming the file: damaged, or of other settings (AdamW
// instead of Muon).
TrainState read_checkpoint(const std::string& folder, Parameters& parameters, Optimizer& optimizer);

}  // namespace hadal::train
