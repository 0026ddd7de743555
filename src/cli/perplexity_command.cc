#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>

#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/precision_option.h"
#include "cli/progress.h"
#include "eval/perplexity.h"
#include "infer/loaded_model.h"
#include "infer/model_store.h"

namespace hadal::cli {
namespace {

struct Options {
  std::string model, text, reference;
  model::Precision precision = model::Precision::native;
  std::optional<quant::Type> cache;
  int64_t window = 0;  // 0: the model's context, 1,024 at most
  int64_t tokens_max = 0;
  bool bos = false, no_bos = false;
};

std::string read_text(const std::string& path) {
  if (path == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(ErrorKind::file, "cannot read the text {}", path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// DeepSeek's dialogues begin with the begin token whatever the tokenizer's own setting says, and
// the models have never seen a text without it.
bool begins_with_bos(const infer::LoadedModel& loaded, const Options& options) {
  if (options.bos || options.no_bos) return options.bos;
  if (loaded.bos_id < 0) return false;
  if (loaded.tokenizer->add_bos()) return true;
  using tokenizer::Generation;
  if (!loaded.style) return false;
  const Generation generation = loaded.style->generation;
  return generation != Generation::chatml && generation != Generation::qwen3;
}

nlohmann::json to_json(const eval::Perplexity& p) {
  return {{"tokens", p.tokens},
          {"nll", p.nll},
          {"perplexity", p.value()},
          {"standard_error_nll", p.standard_error}};
}

void print_line(const char* name, const eval::Perplexity& p) {
  fmt::print("{:<11} perplexity {:.4f} +- {:.4f}  nll {:.4f}  tokens {}\n", name, p.value(),
             p.value() * p.standard_error, p.nll, p.tokens);
}

void run(const Options& options, const Globals& globals) {
  const infer::LoadedModel loaded = infer::open_model(infer::find_model(options.model));
  const tokenizer::Tokenizer& tokenizer = infer::require_tokenizer(loaded);
  std::vector<int32_t> tokens = tokenizer.encode(read_text(options.text));
  eval::PerplexityOptions wanted;
  wanted.precision = options.precision;
  wanted.cache = options.cache;
  if (options.bos && loaded.bos_id < 0)
    fail(ErrorKind::usage, "--bos: the model has no begin token");
  const bool bos = begins_with_bos(loaded, options);
  wanted.bos = bos ? loaded.bos_id : -1;
  constexpr int64_t window_default = 1024;
  const int64_t context = std::min(loaded.model->config.context_length, window_default);
  wanted.window =
      options.window > 0 ? options.window : std::max<int64_t>(1, context - (bos ? 1 : 0));
  if (options.tokens_max > 0) {
    const auto keep = static_cast<size_t>(options.tokens_max + (bos ? 0 : 1));
    if (keep < tokens.size()) tokens.resize(keep);
  }
  ThreadPool pool(globals.threads);
  Progress bar("perplexity", tokens.size(), ProgressUnit::tokens);
  const auto progress = [&bar](int64_t done, int64_t) {
    check_interrupt();
    bar.update(static_cast<uint64_t>(done));
  };
  nlohmann::json out = {
      {"window", wanted.window}, {"bos", bos}, {"precision", precision_name(options.precision)}};
  if (options.reference.empty()) {
    const eval::Perplexity p = eval::perplexity(*loaded.model, tokens, wanted, pool, progress);
    bar.finish();
    out.update(to_json(p));
    if (globals.json)
      fmt::print("{}\n", out.dump(2));
    else
      fmt::print("perplexity {:.4f} +- {:.4f}  nll {:.4f}  tokens {}  window {}{}\n", p.value(),
                 p.value() * p.standard_error, p.nll, p.tokens, wanted.window,
                 bos ? ", each behind a begin token" : "");
    return;
  }
  const infer::LoadedModel reference = infer::open_model(infer::find_model(options.reference));
  const eval::Divergence d =
      eval::divergence(*reference.model, *loaded.model, tokens, wanted, pool, progress);
  bar.finish();
  if (globals.json) {
    out["model"] = to_json(d.model);
    out["reference"] = to_json(d.reference);
    out["mean_kl"] = d.mean_kl;
    out["same_best_share"] = d.same_best_share;
    fmt::print("{}\n", out.dump(2));
    return;
  }
  print_line("reference", d.reference);
  print_line("model", d.model);
  fmt::print("mean KL {:.6f} nats per token, same best token at {:.2f}% of positions\n", d.mean_kl,
             d.same_best_share * 100.0);
}

constexpr const char* help_end =
    "The text is read in windows, each with an empty context. With a begin token in front of each\n"
    "window every token is predicted; without, the first one is given.\n\n"
    "Examples:\n"
    "  hadal perplexity model.gguf text.txt\n"
    "  hadal perplexity q4.gguf text.txt --reference bf16.gguf    how much quantising changed\n"
    "  cat text.txt | hadal perplexity model.gguf - --window 256\n";

}  // namespace

void add_perplexity(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, globals, "perplexity", "Measure how well a model predicts a text", help_end,
                  [options, &globals] { run(*options, globals); });
  command->add_option("MODEL", options->model, "Model file, folder or name")->required();
  command->add_option("TEXT", options->text, "Text file; - for standard input")->required();
  command->add_option("--reference", options->reference, "Compare with this model (KL divergence)");
  command
      ->add_option("--window", options->window,
                   "Predictions per window (default: the context, 1,024 at most)")
      ->check(CLI::PositiveNumber);
  command->add_option("--tokens", options->tokens_max, "Stop after so many predictions")
      ->check(CLI::PositiveNumber);
  CLI::Option* bos = command->add_flag("--bos", options->bos, "Begin windows with the begin token");
  command->add_flag("--no-bos", options->no_bos, "Don't, whatever the model's own rule says")
      ->excludes(bos);
  add_precision(command, &options->precision);
  add_cache_type(command, &options->cache);
  add_threads(command, globals);
  add_json(command, globals);
}

}  // namespace hadal::cli
