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

Trainer::Trainer(const model::ModelConfig& config, TrainOptions options, ThreadPool& pool,
                 Ranks& ranks)
    : options_(std::move(options)),
      ranks_(ranks),
      shards_(shard_count(options_, ranks.size())),
      context_{kernels::active(), pool, options_.precision},
      network_(config, options_.lora),
      optimizer_(network_.parameters(), network_.config(), options_.optimizer, ranks) {
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

// The first rank's, which all go by.
double Trainer::clock() {
  double now = ranks_.is_first() ? seconds() : 0;
  ranks_.sum(std::span(&now, 1));
  return now;
}

bool Trainer::checkpoint_due() {
  if (options_.checkpoint_steps > 0 && state_.step % options_.checkpoint_steps == 0) return true;
  if (options_.checkpoint_minutes <= 0) return false;
  int64_t due =
      ranks_.is_first() && seconds_since(last_checkpoint_) >= 60.0 * options_.checkpoint_minutes;
  ranks_.sum(std::span(&due, 1));
  return due != 0;
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

void Trainer::share_loads(StepReport& report) {
  for (std::vector<int64_t>& layer : report.loads) ranks_.sum(layer);
  ranks_.sum(report.dropped);
}

std::vector<Trainer::Shard> Trainer::own_shards() const {
  const int64_t rows = options_.data.rows / shards_, own = shards_ / ranks_.size();
  std::vector<Shard> out(static_cast<size_t>(own));
  for (int64_t i = 0; i < own; ++i) {
    const int64_t begin = (ranks_.rank() * own + i) * rows;
    for (int64_t row = 0; row < rows; row += options_.part_rows)
      out[static_cast<size_t>(i)].push_back(
          stream_->sequences(state_.step, begin + row, std::min(options_.part_rows, rows - row)));
  }
  return out;
}

// Of all ranks' shards together; bytes are what the targets stand for.
void Trainer::count(const std::vector<Shard>& shards, int64_t& targets, int64_t& bytes,
                    StepReport& report) {
  int64_t counts[3] = {};
  for (const Shard& shard : shards)
    for (const Batch& part : shard) {
      counts[0] += targets_of(part);
      counts[2] += part.rows();
      for (const int32_t target : part.targets)
        if (target >= 0 && static_cast<size_t>(target) < options_.token_bytes.size())
          counts[1] += options_.token_bytes[static_cast<size_t>(target)];
    }
  ranks_.sum(counts);
  targets = counts[0];
  bytes = counts[1];
  report.tokens = counts[2];
}

// Gradients into the parameters', each at its owner; losses and loads into the report.
void Trainer::accumulate(const std::vector<Shard>& shards, int64_t targets, bool with_mtp,
                         StepReport& report) {
  LossWeights weights = options_.loss;
  if (!with_mtp) weights.mtp = 0;
  std::vector<double> losses(static_cast<size_t>(shards_) * 4);
  for (size_t i = 0; i < shards.size(); ++i) {
    network_.parameters().zero_gradients();
    double* sums = losses.data() + 4 * (static_cast<size_t>(ranks_.rank()) * shards.size() + i);
    for (const Batch& part : shards[i]) {
      const double share = static_cast<double>(targets_of(part)) / static_cast<double>(targets);
      weights.all = static_cast<float>(share);
      const Losses of_part = network_.step(context_, part, weights, true);
      sums[0] += share * of_part.cross_entropy;
      sums[1] += share * of_part.mtp;
      sums[2] += share * of_part.balance;
      sums[3] += share * of_part.total;
      add_loads(part, with_mtp, report);
    }
    shard_sum_.add(context_.pool, network_.parameters().gradients(), i + 1 == shards.size());
  }
  optimizer_.gather_gradients(context_);
  share_loads(report);
  ranks_.sum(losses);
  for (size_t i = 0; i < losses.size(); i += 4) {
    report.losses.cross_entropy += losses[i];
    report.losses.mtp += losses[i + 1];
    report.losses.balance += losses[i + 2];
    report.losses.total += losses[i + 3];
  }
  report.losses.targets = targets;
}

StepReport Trainer::step() {
  const Clock::time_point from = Clock::now();
  StepReport report;
  if (state_.late_step < 0 && !options_.late_weights.empty() && progress() >= options_.late_from) {
    state_.late_step = state_.step;
    open_stream();
  }
  const std::vector<Shard> shards = own_shards();
  int64_t targets = 0, bytes = 0;
  count(shards, targets, bytes, report);
  if (targets == 0) fail(ErrorKind::usage, "step {} has nothing to predict", state_.step + 1);
  const bool with_mtp =
      network_.config().mtp_layers > 0 && options_.loss.mtp > 0 && progress() >= options_.mtp_from;
  accumulate(shards, targets, with_mtp, report);
  if (bytes > 0)
    report.bits_per_byte = report.losses.cross_entropy * static_cast<double>(targets) /
                           static_cast<double>(bytes) / std::numbers::ln2;
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
  state_.seconds = clock();
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
  Buffer copies;
  const std::vector<Optimizer::State> moments = optimizer_.gather_state(copies);
  if (ranks_.is_first()) {
    write_checkpoint(path, network_.parameters(), {network_.config(), options_.side_files}, moments,
                     optimizer_.steps(), state_);
    remove_old_checkpoints(folder, options_.keep);
  }
  last_checkpoint_ = Clock::now();
  return path;
}

void Trainer::export_model(const std::string& folder) {
  optimizer_.swap_averages();
  if (ranks_.is_first())
    write_model(folder, network_.parameters(), {network_.config(), options_.side_files}, true);
  optimizer_.swap_averages();
}

}  // namespace hadal::train
