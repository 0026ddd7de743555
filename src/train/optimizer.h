// Steps of learning: AdamW, Muon on matrices, clipping, averages of the weights, and the rule that
// balances experts. Nothing depends on the number of threads.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "train/network.h"
#include "train/newton_schulz.h"
#include "train/ranks.h"

namespace hadal::train {

// What a parameter is to the optimizer.
enum class Kind : uint8_t { matrix, embedding, router, vector };
constexpr int kind_count = 4;
Kind kind_of(const Parameter& parameter);

enum class MuonScale : uint8_t {
  original,         // lr times sqrt(max(1, rows / cols))
  match_rms_adamw,  // lr times 0.2 sqrt(max(rows, cols)): updates as large as AdamW's
};

struct OptimizerOptions {
  struct Group {
    double rate = 1e-3;
    double decay = 0;  // decoupled: each step takes rate * decay of the value
  };
  bool muon = true;  // on matrices of layers; all else, and they without, by AdamW
  Group matrix{3e-3, 0.1}, embedding{3e-3, 0}, router{1e-3, 0}, vector{1e-3, 0};
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;  // AdamW
  double momentum = 0.95;                        // Muon, Nesterov's
  MuonScale scale = MuonScale::match_rms_adamw;
  double clip = 1.0;   // gradients longer than this together are scaled to it; 0: never
  double average = 0;  // decay of the weights' moving average; 0: none

  const Group& group(Kind kind) const;
};

// How a matrix is cut for Muon: rows of a block, or 0 for the whole. The up-projections of MLA hold
// a matrix for each head.
int64_t muon_block_rows(const model::ModelConfig& config, const Parameter& parameter);

class Optimizer {
 public:
  // The parameters must outlive it and be allocated. Of several ranks each has the moments of its
  // own parameters only, and moves those (ZeRO-1, arXiv 1910.02054); ranks must outlive it.
  Optimizer(Parameters& parameters, const model::ModelConfig& config,
            const OptimizerOptions& options, Ranks& ranks = alone());

  // Adds up the ranks' gradients, those of a parameter where it is owned: in pairs, pairs of pairs
  // and so on, so that sums of one, two or four ranks are the same.
  void gather_gradients(const Context& context);
  // The length of all gradients together; not finite if any of them is not.
  double gradient_norm(const Context& context);
  // One step with the gradients that lie in the parameters, clipped by `norm`, at `factor` times
  // the rates. The network must be refreshed afterwards.
  void step(const Context& context, double norm, double factor);

  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

  // What a run needs beside the values to go on: moments and averages, by name. data: null of what
  // another rank owns.
  struct State {
    std::string name;
    std::vector<int64_t> shape;
    float* data;
    int64_t size;
    int owner = 0;
  };
  std::vector<State> state();
  // The same, at the first rank with all data: what others own is in `copies`.
  std::vector<State> gather_state(Buffer& copies);
  // Swaps the values with their moving average, and back. Without averages: nothing.
  void swap_averages();
  bool averages() const { return options_.average > 0; }

 private:
  struct Item {
    Parameter* parameter;
    Kind kind;
    bool muon;
    int owner = 0;            // a rank
    float* first = nullptr;   // AdamW: mean of gradients; Muon: momentum
    float* second = nullptr;  // AdamW: mean of their squares
    float* average = nullptr;
  };
  struct Block {  // of a matrix, for Muon
    const Item* item;
    int64_t row, rows;
  };
  void choose_owners();
  bool is_mine(const Item& item) const { return item.owner == ranks_.rank(); }
  void share_values();
  void adamw(const Context& context, const Item& item, float gradient_scale, double factor);
  void muon(const Context& context, float gradient_scale, double factor);
  void muon_block(const Context& context, const Block& block, float gradient_scale, double factor,
                  int thread);
  void update_averages(const Context& context);

  OptimizerOptions options_;
  Ranks& ranks_;
  std::vector<Item> items_;    // those with gradients
  std::vector<Block> blocks_;  // this rank's, largest first
  std::vector<NewtonSchulz> workspaces_;
  std::vector<Buffer> updates_;
  Buffer state_, received_;
  int64_t steps_ = 0;
};

// Moves correction biases towards balance: bias += speed * sign(mean load - load) (arXiv
// 2408.15664). loads: by layer, of the whole batch.
void balance_experts(const std::vector<MoeLayer*>& layers,
                     std::span<const std::vector<int64_t>> loads, double speed);

}  // namespace hadal::train
