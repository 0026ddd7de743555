#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "base/error.h"
#include "train/initialise.h"
#include "train/lora.h"

namespace hadal::train {
namespace {

constexpr int64_t skipped_max = 3;

int64_t targets_of(const Batch& batch) {
  return batch.rows() - std::count(batch.targets.begin(), batch.targets.end(), -1);
}

double seconds_since(std::chrono::steady_clock::time_point from) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
}

}  // namespace

Trainer::Trainer(const model::ModelConfig& config, TrainOptions options, ThreadPool& pool)
    : options_(std::move(options)),
      context_{kernels::active(), pool, options_.precision},
      network_(config, options_.lora),
      optimizer_(network_.parameters(), network_.config(), options_.optimizer) {
  network_.set_recompute(options_.recompute);
  options_.data.seed = options_.seed;
  open_stream();
  const data::Vocabulary& vocabulary = stream_->vocabulary();
  if (vocabulary.size > config.vocab_size)
    fail(ErrorKind::usage,
         "the data have {} kinds of tokens, the model {}: encode them with the "
         "model's tokenizer",
         vocabulary.size, config.vocab_size);
  if (options_.tokenizer_hash != 0 && vocabulary.tokenizer_hash != options_.tokenizer_hash)
    fail(
        ErrorKind::usage,
        "the data were encoded with another tokenizer than the model's: pack them with it, or name "
        "theirs as model.tokenizer");
  if (options_.data.length > config.context_length)
    fail(ErrorKind::usage, "sequences of {} tokens, but the model's context is {}",
         options_.data.length, config.context_length);
  for (const data::Stream::Report& report : stream_->report(0)) state_.data.push_back(report.hash);
  state_.settings = options_.settings;
}

// The change of weights has a step once the run has come to it; that step is part of the state.
void Trainer::open_stream() {
  data::StreamOptions options = options_.data;
  if (state_.late_step >= 0) options.changes.push_back({state_.late_step, options_.late_weights});
  stream_ = std::make_unique<data::Stream>(options);
}

void Trainer::begin() {
  network_.refresh(context_);
  began_ = last_checkpoint_ = Clock::now();
}

void Trainer::start() {
  initialise(network_.parameters(), network_.config(), options_.seed);
  begin();
}

void Trainer::start(const model::Model& weights) {
  network_.load(context_, weights);
  initialise_adapters(network_.parameters(), options_.seed);
  state_.base = frozen_hash(network_.parameters());
  begin();
}

void Trainer::resume(const std::string& checkpoint, const model::Model& weights) {
  network_.load(context_, weights);
  TrainState state = read_checkpoint(checkpoint, network_.parameters(), optimizer_);
  if (state.data != state_.data)
    fail(ErrorKind::usage,
         "{} was made from other data: their hashes differ. Give the same files in the same order",
         checkpoint);
  if (state.base != frozen_hash(network_.parameters()))
    fail(ErrorKind::usage,
         "{} was made from another model, or with LoRA where the settings have none; model.start "
         "and "
         "lora.rank must be as they were",
         checkpoint);
  state.settings = options_.settings;
  state_ = std::move(state);
  seconds_before_ = state_.seconds;
  if (state_.late_step >= 0) open_stream();
  begin();
}

double Trainer::seconds() const {
  return seconds_before_ + seconds_since(began_);
}

double Trainer::progress() const {
  if (options_.budget_s > 0) return std::min(1.0, state_.seconds / options_.budget_s);
  return std::min(1.0, static_cast<double>(state_.step) / static_cast<double>(options_.steps));
}

bool Trainer::done() const {
  if (options_.steps > 0 && state_.step >= options_.steps) return true;
  return options_.budget_s > 0 && state_.seconds >= options_.budget_s;
}

bool Trainer::checkpoint_due() const {
  if (options_.checkpoint_steps > 0 && state_.step % options_.checkpoint_steps == 0) return true;
  return options_.checkpoint_minutes > 0 &&
         seconds_since(last_checkpoint_) >= 60.0 * options_.checkpoint_minutes;
}

void Trainer::add_loads(const Batch& part, bool with_mtp, StepReport& report) {
  const std::vector<MoeLayer*> layers = network_.moe_layers();
  const model::ModelConfig& c = network_.config();
  const bool mtp_layer = c.mtp_layers > 0 && c.experts > 0;
  report.loads.resize(layers.size(), std::vector<int64_t>(static_cast<size_t>(c.experts)));
  report.dropped.resize(layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    const bool is_mtp = mtp_layer && i + 1 == layers.size();
    if (is_mtp && !with_mtp) continue;
    int64_t arrived = 0;
    for (size_t e = 0; e < report.loads[i].size(); ++e) {
      report.loads[i][e] += layers[i]->stats().load[e];
      arrived += layers[i]->stats().load[e];
    }
    // The MTP layer has no rows at the ends of documents.
    const int64_t documents = static_cast<int64_t>(part.documents.size()) - 1;
    const int64_t rows = part.rows() - (is_mtp ? documents : 0);
    report.dropped[i] += rows * c.experts_per_token - arrived;
  }
}

Losses Trainer::accumulate(const std::vector<Batch>& parts, bool with_mtp, StepReport& report) {
  int64_t targets = 0;
  for (const Batch& part : parts) targets += targets_of(part);
  if (targets == 0) fail(ErrorKind::usage, "step {} has nothing to predict", state_.step + 1);
  network_.parameters().zero_gradients();
  LossWeights weights = options_.loss;
  if (!with_mtp) weights.mtp = 0;
  Losses sum;
  for (const Batch& part : parts) {
    const double share = static_cast<double>(targets_of(part)) / static_cast<double>(targets);
    weights.all = static_cast<float>(share);
    const Losses losses = network_.step(context_, part, weights, true);
    sum.cross_entropy += share * losses.cross_entropy;
    sum.mtp += share * losses.mtp;
    sum.balance += share * losses.balance;
    sum.total += share * losses.total;
    sum.targets += losses.targets;
    add_loads(part, with_mtp, report);
  }
  return sum;
}

double Trainer::bits_per_byte(const std::vector<Batch>& parts, double nats) const {
  if (options_.token_bytes.empty()) return 0;
  int64_t bytes = 0;
  int64_t targets = 0;
  for (const Batch& part : parts)
    for (const int32_t target : part.targets)
      if (target >= 0) {
        ++targets;
        if (static_cast<size_t>(target) < options_.token_bytes.size())
          bytes += options_.token_bytes[static_cast<size_t>(target)];
      }
  if (bytes == 0) return 0;
  return nats * static_cast<double>(targets) / static_cast<double>(bytes) / std::numbers::ln2;
}

StepReport Trainer::step() {
  const Clock::time_point from = Clock::now();
  StepReport report;
  if (state_.late_step < 0 && !options_.late_weights.empty() && progress() >= options_.late_from) {
    state_.late_step = state_.step;
    open_stream();
  }
  std::vector<Batch> parts;
  for (int64_t row = 0; row < options_.data.rows; row += options_.part_rows)
    parts.push_back(stream_->sequences(state_.step, row,
                                       std::min(options_.part_rows, options_.data.rows - row)));
  const bool with_mtp =
      network_.config().mtp_layers > 0 && options_.loss.mtp > 0 && progress() >= options_.mtp_from;
  report.losses = accumulate(parts, with_mtp, report);
  for (const Batch& part : parts) report.tokens += part.rows();
  report.bits_per_byte = bits_per_byte(parts, report.losses.cross_entropy);
  report.gradient_norm = optimizer_.gradient_norm(context_);
  // In the middle of the step, so that neither the first nor the last one is in vain.
  report.rate =
      options_.schedule.factor(options_.budget_s > 0 ? progress()
                                                     : (static_cast<double>(state_.step) + 0.5) /
                                                           static_cast<double>(options_.steps));
  report.skipped = !std::isfinite(report.gradient_norm) || !std::isfinite(report.losses.total);
  if (report.skipped) {
    ++state_.skipped;
  } else {
    optimizer_.step(context_, report.gradient_norm, report.rate);
    if (options_.balance_speed > 0 && !options_.lora)
      balance_experts(network_.moe_layers(), report.loads, options_.balance_speed);
    network_.refresh(context_);
  }
  ++state_.step;
  state_.tokens += report.tokens;
  state_.seconds = seconds();
  report.step = state_.step;
  report.progress = progress();
  report.seconds = seconds_since(from);
  report.run_seconds = state_.seconds;
  if (state_.skipped >= skipped_max)
    fail(ErrorKind::limit,
         "step {}: gradients were not finite for the {}rd time; the weights are as the last "
         "checkpoint or before. A smaller learning rate, or precision = \"f32\", may help",
         state_.step, skipped_max);
  return report;
}

std::string Trainer::checkpoint(const std::string& run) {
  const std::string folder = run + "/checkpoints";
  const std::string path = folder + "/" + checkpoint_name(state_.step);
  write_checkpoint(path, network_.parameters(), {network_.config(), options_.side_files},
                   optimizer_, state_);
  remove_old_checkpoints(folder, options_.keep);
  last_checkpoint_ = Clock::now();
  return path;
}

void Trainer::export_model(const std::string& folder) {
  optimizer_.swap_averages();
  write_model(folder, network_.parameters(), {network_.config(), options_.side_files}, true);
  optimizer_.swap_averages();
}

}  // namespace hadal::train
