#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/precision_option.h"
#include "cli/progress.h"
#include "cli/token_ids.h"
#include "eval/logits.h"
#include "format/safetensors_write.h"
#include "infer/loaded_model.h"
#include "infer/model_store.h"

namespace hadal::cli {
namespace {

struct Options {
  std::string model, tokens, out;
  bool force = false;
  eval::LogitsOptions logits;
};

void write(const std::vector<eval::NamedTensor>& tensors, const Options& options) {
  std::vector<format::SafetensorsTensor> out;
  out.reserve(tensors.size());
  for (const eval::NamedTensor& tensor : tensors)
    out.push_back({tensor.name, tensor.dtype == "F32" ? format::Dtype::F32 : format::Dtype::I64,
                   tensor.shape, tensor.data});
  format::write_safetensors(options.out, out, options.force);
}

void logits(const Options& options, const Globals& globals) {
  if (std::filesystem::exists(options.out) && !options.force)
    fail(ErrorKind::file, "{} exists; --force overwrites it", options.out);
  const TokenIds ids = read_token_ids(options.tokens);
  const infer::LoadedModel loaded = infer::open_model(infer::find_model(options.model));
  ThreadPool pool(globals.threads);
  Progress bar("logits", ids.values.size(), ProgressUnit::tokens);
  const auto tensors = eval::compute_logits(*loaded.model, ids.values, ids.batch, options.logits,
                                            pool, [&bar](int64_t done, int64_t) {
                                              check_interrupt();
                                              bar.update(static_cast<uint64_t>(done));
                                            });
  bar.finish();
  write(tensors, options);
}

constexpr const char* help_end =
    "IN.safetensors holds input_ids [B, T] (I64 or I32). OUT.safetensors gets logits [B, T, V] "
    "and\n"
    "what else is asked for: hidden [L, B, T, D] after each layer and final_hidden [B, T, D],\n"
    "router.N.indices and router.N.weights [B*T, k], mtp_logits [B, T-1, V], greedy_ids and\n"
    "greedy_margin [B, N].\n\n"
    "Examples:\n"
    "  hadal logits model --tokens ids.safetensors --out logits.safetensors\n"
    "  hadal logits model --tokens ids.safetensors --out all.safetensors --hidden --router --mtp\n";

}  // namespace

void add_logits(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, globals, "logits", "Write what a model computes, to compare implementations",
                  help_end, [options, &globals] { logits(*options, globals); });
  eval::LogitsOptions& o = options->logits;
  command->add_option("MODEL", options->model, "Model file, folder or name")->required();
  command->add_option("--tokens", options->tokens, "Safetensors file with input_ids")->required();
  command->add_option("--out", options->out, "Safetensors file to write")->required();
  add_precision(command, &o.precision);
  command->add_flag("--hidden", o.hidden, "The hidden states too");
  command->add_flag("--router", o.router, "The routers' choices and weights too");
  command->add_flag("--mtp", o.mtp, "The multi-token prediction layer's logits too");
  command->add_option("--greedy", o.greedy, "Continue greedily by N tokens")
      ->check(CLI::PositiveNumber);
  command->add_option("--greedy-prompt", o.greedy_prompt, "Tokens of each row to continue from")
      ->check(CLI::PositiveNumber);
  command->add_flag("--force", options->force, "Overwrite the output");
  add_threads(command, globals);
}

}  // namespace hadal::cli
