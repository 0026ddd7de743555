#include "cli/train_run.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <sstream>

#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/error.h"
#include "base/output_file.h"
#include "cli/human.h"
#include "cli/interrupt.h"
#include "cli/train_samples.h"
#include "data/inputs.h"
#include "eval/machine.h"
#include "format/config_read.h"
#include "format/json_guard.h"
#include "infer/model_store.h"
#include "infer/tokenizer_file.h"
#include "train/gradients.h"
#include "train/plan.h"
#include "train/ranks.h"
#include "train/trainer.h"

namespace hadal::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(ErrorKind::file, "cannot read {}", path.string());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The tokenizer's files go with every checkpoint; ids' lengths make bits per byte.
void read_tokenizer(const std::string& folder, train::TrainOptions& options) {
  if (folder.empty()) return;
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                           "generation_config.json", "chat_template.jinja"})
    if (fs::exists(fs::path(folder) / name))
      options.side_files.push_back({name, read_text(fs::path(folder) / name)});
  const infer::TokenizerSource source = infer::open_tokenizer(folder);
  options.tokenizer_hash = data::file_hash((fs::path(folder) / "tokenizer.json").string());
  const tokenizer::Tokenizer& tokenizer = source.tokenizer;
  options.token_bytes.resize(static_cast<size_t>(tokenizer.size()));
  for (int32_t id = 0; id < tokenizer.size(); ++id)
    if (!tokenizer.is_special(id))
      options.token_bytes[static_cast<size_t>(id)] =
          static_cast<int32_t>(tokenizer.token_bytes(id).size());
}

// Operations per second that the run's products could reach here; 0 if not measured.
double machine_peak(const TrainSettings& settings, ThreadPool& pool) {
  if (!settings.measure) return 0;
  const eval::MachineLimits limits = eval::measure_machine(pool, int64_t{64} << 20);
  const double fp32 = limits.best(kernels::Product::fp32);
  if (settings.train.precision == model::Precision::f32) return fp32;
  return std::max(fp32, limits.best(kernels::Product::bf16));
}

class Metrics {
 public:
  // Lines of steps after `step` are of a run that was cut off: they will be written again.
  Metrics(const std::string& path, int64_t step) : path_(path) {
    std::string kept;
    std::ifstream old(path);
    for (std::string line; std::getline(old, line);) {
      const json value = json::parse(line, nullptr, false);
      if (value.is_object() && value.contains("step") && value["step"].is_number_integer() &&
          value["step"] <= step)
        kept += line + "\n";
    }
    old.close();
    OutputFile file(path, true);
    file.write(kept.data(), kept.size());
    file.commit();
    out_.open(path, std::ios::app);
  }
  void write(const json& line) {
    // Text that a model writes may end within a character.
    out_ << line.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
    if (!out_) fail(ErrorKind::file, "cannot write {}: is the disk full?", path_);
  }

 private:
  std::string path_;
  std::ofstream out_;
};

// One a core, shared with the ranks on this machine, unless mpirun has bound them to cores.
int threads_of(const train::Ranks& ranks, const Globals& globals) {
  if (globals.threads > 0 || ranks.size() == 1) return globals.threads;
  const int allowed = ThreadPool().threads(), here = ranks.on_this_machine();
  const int online = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  return allowed * here <= online ? allowed : std::max(1, online / here);
}

class Run {
 public:
  Run(TrainSettings settings, const Globals& globals, train::Ranks& ranks)
      : pool_(threads_of(ranks, globals)),
        ranks_(ranks),
        settings_(std::move(settings)),
        globals_(globals),
        model_(open_train_model(settings_)),
        trainer_(model_.config, settings_.train, pool_, ranks),
        flops_(train::flops_per_token(model_.config, settings_.train.data.length,
                                      static_cast<bool>(settings_.train.lora))) {}

  void begin(bool resume) {
    const std::vector<std::string> checkpoints =
        train::list_checkpoints(settings_.out + "/checkpoints");
    if (!resume && !checkpoints.empty())
      fail(ErrorKind::usage,
           "{} has checkpoints: --resume goes on from the newest, or choose another run.out",
           settings_.out);
    if (!resume_newest(checkpoints)) {
      if (model_.weights != nullptr)
        trainer_.start(*model_.weights);
      else
        trainer_.start();
    }
    if (!settings_.train.lora) model_.weights.reset();
    if (ranks_.is_first()) open_files();
    std::vector<double> peaks(static_cast<size_t>(ranks_.size()));
    peaks[static_cast<size_t>(ranks_.rank())] = machine_peak(settings_, pool_);
    ranks_.sum(peaks);
    peak_ = std::accumulate(peaks.begin(), peaks.end(), 0.0);
  }

  void loop() {
    while (!trainer_.done()) {
      const train::StepReport report = trainer_.step();
      if (ranks_.is_first()) {
        metrics_->write(line_of(report));
        show(report);
      }
      const bool stop = is_asked_to_stop();
      if (!stop && !trainer_.done() && !trainer_.checkpoint_due()) continue;
      const std::string path = trainer_.checkpoint(settings_.out);
      if (stop) {
        end_line();
        fail(ErrorKind::interrupted,
             "stopped behind step {}; {} is written, `hadal train --resume` goes on from it",
             report.step, path);
      }
      if (ranks_.is_first()) write_samples(path);
    }
    end_line();
    trainer_.export_model(settings_.out + "/model");
    if (ranks_.is_first()) finish();
  }

 private:
  void open_files() {
    std::error_code error;
    fs::create_directories(settings_.out, error);
    if (error) fail(ErrorKind::file, "cannot make {}: {}", settings_.out, error.message());
    const std::string text = settings_.train.settings;
    OutputFile copy(settings_.out + "/settings.txt", true);
    copy.write(text.data(), text.size());
    copy.commit();
    metrics_.emplace(settings_.out + "/metrics.jsonl", trainer_.state().step);
    samples_.emplace(settings_.out + "/samples.jsonl", trainer_.state().step);
  }

  // Whether any of the ranks has been.
  bool is_asked_to_stop() {
    int64_t asked = interrupted() ? 1 : 0;
    ranks_.sum(std::span(&asked, 1));
    return asked > 0;
  }

  // The newest checkpoint that can be read.
  bool resume_newest(const std::vector<std::string>& checkpoints) {
    for (size_t i = checkpoints.size(); i-- > 0;) {
      try {
        if (settings_.train.lora) {
          trainer_.resume(checkpoints[i], *model_.weights);
        } else {
          const format::LoadedFiles files = format::load_model(checkpoints[i]);
          trainer_.resume(checkpoints[i], *files.model);
        }
        if (ranks_.is_first()) fmt::print(stderr, "going on from {}\n", checkpoints[i]);
        return true;
      } catch (const Error& error) {
        if (i == 0 || error.kind() == ErrorKind::usage) throw;
        fmt::print(stderr, "hadal: {}; trying the checkpoint before\n", error.what());
      }
    }
    return false;
  }

  double rate(const train::StepReport& r) const {
    return static_cast<double>(r.tokens) / std::max(r.seconds, 1e-9);
  }
  double share(const train::StepReport& r) const {
    return peak_ > 0 ? rate(r) * flops_ / peak_ : 0;
  }
  double cost(double seconds) const { return settings_.price_per_hour * seconds / 3600.0; }

  json line_of(const train::StepReport& r) const {
    json line = {{"step", r.step},
                 {"progress", r.progress},
                 {"loss", r.losses.cross_entropy},
                 {"total_loss", r.losses.total},
                 {"balance_loss", r.losses.balance},
                 {"rate", r.rate},
                 {"lr", r.rate * settings_.train.optimizer.matrix.rate},
                 {"gradient_norm", r.gradient_norm},
                 {"skipped", r.skipped},
                 {"tokens", trainer_.state().tokens},
                 {"tokens_per_second", rate(r)},
                 {"step_seconds", r.seconds},
                 {"seconds", r.run_seconds},
                 {"experts", r.loads},
                 {"dropped", r.dropped}};
    if (model_.config.mtp_layers > 0) line["mtp_loss"] = r.losses.mtp;
    if (r.bits_per_byte > 0) line["bits_per_byte"] = r.bits_per_byte;
    if (peak_ > 0) line["peak_share"] = share(r);
    if (settings_.price_per_hour > 0) line["cost"] = cost(r.run_seconds);
    return line;
  }

  // On a terminal one line that changes; else one in ten seconds.
  void show(const train::StepReport& r) {
    const bool terminal = ::isatty(STDERR_FILENO) == 1;
    const double left = r.progress > 0 ? r.run_seconds / r.progress * (1.0 - r.progress) : 0;
    if (!terminal && !r.skipped && r.run_seconds < shown_ + 10 && !trainer_.done()) return;
    shown_ = r.run_seconds;
    std::string line = fmt::format("step {}", r.step);
    if (settings_.train.steps > 0) line += fmt::format("/{}", settings_.train.steps);
    line += fmt::format("  loss {:.4f}", r.losses.cross_entropy);
    if (r.bits_per_byte > 0) line += fmt::format("  {:.3f} bits/byte", r.bits_per_byte);
    line += fmt::format("  {} tokens/s", format_count(rate(r)));
    if (peak_ > 0) line += fmt::format("  {:.0f}% of peak", 100 * share(r));
    line += fmt::format("  {} left", format_duration(left));
    if (settings_.price_per_hour > 0) line += fmt::format("  cost {:.4f}", cost(r.run_seconds));
    if (r.skipped) line += "  gradients not finite: step left out";
    if (terminal)
      fmt::print(stderr, "\r\033[K{}", line);
    else
      fmt::print(stderr, "{}\n", line);
    line_open_ = terminal;
    (void)std::fflush(stderr);
  }

  void end_line() {
    if (line_open_) fmt::print(stderr, "\n");
    line_open_ = false;
  }

  void write_samples(const std::string& checkpoint) {
    const SampleSettings wanted{settings_.prompts, settings_.sample_tokens, settings_.temperature};
    const std::vector<std::string> texts = sample_text(checkpoint, wanted, pool_);
    for (size_t i = 0; i < texts.size(); ++i) {
      end_line();
      samples_->write(
          {{"step", trainer_.state().step}, {"prompt", settings_.prompts[i]}, {"text", texts[i]}});
      fmt::print(stderr, "  {}|{}\n", settings_.prompts[i], texts[i].substr(0, 200));
    }
  }

  void finish() const {
    const train::TrainState& state = trainer_.state();
    const std::string folder = settings_.out + "/model";
    if (globals_.json) {
      const json out = {{"model", folder},          {"steps", state.step},
                        {"tokens", state.tokens},   {"seconds", state.seconds},
                        {"skipped", state.skipped}, {"cost", cost(state.seconds)}};
      fmt::print("{}\n", out.dump(2));
      return;
    }
    fmt::print(
        "{} is the model: {} steps, {} tokens in {}. `hadal train report {}` draws the "
        "curves.\n",
        folder, state.step, format_count(static_cast<double>(state.tokens)),
        format_duration(state.seconds), settings_.out);
  }

  ThreadPool pool_;
  train::Ranks& ranks_;
  TrainSettings settings_;
  const Globals& globals_;
  TrainModel model_;
  train::Trainer trainer_;
  double flops_, peak_ = 0;
  std::optional<Metrics> metrics_, samples_;
  double shown_ = -100;
  bool line_open_ = false;
};

}  // namespace

TrainModel open_train_model(TrainSettings& settings) {
  TrainModel out;
  if (settings.start.empty()) {
    out.config = format::read_hf_config(format::read_json(settings.config), settings.config).model;
  } else {
    format::LoadedFiles files = format::load_model(infer::find_model(settings.start));
    out.config = files.model->config;
    out.weights = std::move(files.model);
    if (settings.tokenizer.empty() && !files.tokenizer_json.empty())
      settings.tokenizer = fs::path(files.tokenizer_json).parent_path().string();
  }
  train::check_trainable(out.config, settings.start.empty() ? settings.config : settings.start);
  read_tokenizer(settings.tokenizer, settings.train);
  if (static_cast<int64_t>(settings.train.token_bytes.size()) > out.config.vocab_size)
    fail(ErrorKind::usage, "the tokenizer {} has {} tokens, the model {}", settings.tokenizer,
         settings.train.token_bytes.size(), out.config.vocab_size);
  return out;
}

void run_training(TrainSettings settings, bool resume, const Globals& globals) {
  stop_on_sigterm();
  const std::unique_ptr<train::Ranks> ranks = train::join_ranks();
  Run run(std::move(settings), globals, *ranks);
  run.begin(resume);
  run.loop();
}

}  // namespace hadal::cli
