// hadal quantize: any model -> a smaller GGUF file, and what that costs in quality.
#include <algorithm>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "cli/interrupt.h"
#include "cli/model_tokenizer.h"
#include "cli/write_report.h"
#include "eval/perplexity.h"
#include "infer/loaded_model.h"
#include "infer/model_store.h"

namespace hadal::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kHelpEnd =
    "Types: Q8_0 (nearly lossless), Q6_K, Q5_K_M, Q4_K_M (a good default for large models), Q4_0,\n"
    "IQ4_XS (smallest); BF16, F16, F32. Each tensor gets the format that llama.cpp's rule of that\n"
    "name gives it; norms and routers stay in F32.\n"
    "\n"
    "--measure reads a text with both models: perplexity of each, mean Kullback-Leibler\n"
    "divergence per token, and how often both like the same token best.\n"
    "\n"
    "Examples:\n"
    "  hadal quantize DeepSeek-V2-Lite q4_k_m -o v2-lite-q4_k_m.gguf\n"
    "  hadal quantize v2-lite.gguf q8_0 -o v2-lite-q8_0.gguf --measure book.txt";

struct Options {
  std::string model, type, output, measure;
  int64_t window = 512;
  bool force = false;
};

eval::Divergence measure(const Options& options, const Globals& globals, ThreadPool& pool) {
  const infer::LoadedModel source = infer::open_model(infer::find_model(options.model));
  const infer::LoadedModel result = infer::open_model(options.output);
  const MappedFile text(options.measure);
  const std::vector<int32_t> tokens = infer::require_tokenizer(source).encode(
      {reinterpret_cast<const char*>(text.bytes().data()), text.bytes().size()});
  eval::PerplexityOptions settings;
  settings.bos = source.bos_id;
  settings.window = std::min(options.window, source.model->config.context_length - 1);
  std::unique_ptr<Progress> bar;
  const auto progress = [&](int64_t done, int64_t total) {
    check_interrupt();
    if (!bar && !globals.json) {
      bar = std::make_unique<Progress>("Measuring", static_cast<uint64_t>(total),
                                       ProgressUnit::tokens);
    }
    if (bar) bar->update(static_cast<uint64_t>(done));
  };
  return eval::divergence(*source.model, *result.model, tokens, settings, pool, progress);
}

void print_json(const Options& options, const format::WriteReport& report, quant::Mixture mixture,
                const std::optional<eval::Divergence>& quality) {
  Json json = report_json(report, options.output);
  json["type"] = quant::mixture_name(mixture);
  json["source_bytes"] = report.bytes_before;
  json["source_bits_per_weight"] = report.bits_before();
  if (quality) {
    json["measure"] = {{"tokens", quality->model.tokens},
                       {"source_perplexity", quality->reference.value()},
                       {"perplexity", quality->model.value()},
                       {"mean_kl", quality->mean_kl},
                       {"same_best_share", quality->same_best_share}};
  }
  fmt::print("{}\n", json.dump());
}

void print_text(const Options& options, const format::WriteReport& report,
                const std::optional<eval::Divergence>& quality) {
  fmt::print("{}\n", options.output);
  fmt::print("  size        {} -> {}\n", format_bytes(static_cast<double>(report.bytes_before)),
             format_bytes(static_cast<double>(report.bytes_after)));
  fmt::print("  per weight  {:.2f} -> {:.2f} bits\n", report.bits_before(), report.bits_after());
  if (!quality) return;
  fmt::print("  perplexity  {:.4f} -> {:.4f} over {} tokens\n", quality->reference.value(),
             quality->model.value(), quality->model.tokens);
  fmt::print("  divergence  {:.6f} nats per token; the same best token at {:.2f}%\n",
             quality->mean_kl, 100.0 * quality->same_best_share);
}

void quantize(const Options& options, const Globals& globals) {
  const quant::Mixture mixture = parse_mixture(options.type);
  if (!options.output.ends_with(".gguf")) {
    fail(ErrorKind::usage, "the output {} must be named NAME.gguf", options.output);
  }
  const std::string source = infer::find_model(options.model);
  ThreadPool pool(globals.threads);
  format::WriteReport report;
  {
    const format::LoadedFiles files = format::load_model(source);
    print_notes(files.notes);
    const ModelTokenizer tokenizer = gguf_tokenizer_of(files);
    format::WriteOptions write{
        .replace = options.force, .progress = write_progress("Quantising"), .mixture = mixture};
    report = format::write_gguf(files, tokenizer.parts ? &*tokenizer.parts : nullptr,
                                options.output, write, pool);
  }
  print_notes(report.notes);
  std::optional<eval::Divergence> quality;
  if (!options.measure.empty()) quality = measure(options, globals, pool);
  if (globals.json) {
    print_json(options, report, mixture, quality);
  } else {
    print_text(options, report, quality);
  }
}

}  // namespace

void add_quantize(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, globals, "quantize", "Make a model smaller", kHelpEnd,
                                  [options, &globals] { quantize(*options, globals); });
  command->add_option("MODEL", options->model, "Model folder, GGUF file or name")->required();
  command->add_option("TYPE", options->type, "Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_0, IQ4_XS ...")
      ->required();
  command->add_option("-o,--output", options->output, "NAME.gguf")->required();
  command->add_option("--measure", options->measure, "Text file to compare both models on")
      ->check(CLI::ExistingFile);
  command->add_option("--window", options->window, "Tokens that --measure predicts at a time")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24))
      ->capture_default_str();
  command->add_flag("--force", options->force, "Replace an existing output");
  add_threads(command, globals);
  add_json(command, globals);
}

}  // namespace hadal::cli
