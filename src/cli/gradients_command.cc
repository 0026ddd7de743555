#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/precision_option.h"
#include "cli/token_ids.h"
#include "format/load.h"
#include "format/safetensors_write.h"
#include "infer/model_store.h"
#include "train/gradients.h"

namespace hadal::cli {
namespace {

struct Options {
  std::string model, tokens, out;
  bool force = false;
  model::Precision precision = model::Precision::f32;
  float mtp = -1, balance = -1;  // negative: what the model implies
};

std::span<const std::byte> bytes_of(const float* data, int64_t count) {
  return std::as_bytes(std::span(data, static_cast<size_t>(count)));
}

void write(const Options& options, const train::Losses& losses, const train::LossWeights& weights,
           const train::Parameters& parameters) {
  struct Scalar {
    const char* name;
    float value;
    bool wanted;
  };
  const Scalar scalars[] = {
      {"loss", static_cast<float>(losses.cross_entropy), true},
      {"mtp_loss", static_cast<float>(losses.mtp), weights.mtp > 0},
      {"balance_loss", static_cast<float>(losses.balance), weights.balance > 0},
      {"total_loss", static_cast<float>(losses.total), true},
  };
  std::vector<format::SafetensorsTensor> out;
  for (const Scalar& s : scalars)
    if (s.wanted) out.push_back({s.name, format::Dtype::F32, {}, bytes_of(&s.value, 1)});
  for (const train::Parameter& p : parameters.list())
    if (p.has_gradient)
      out.push_back({p.name, format::Dtype::F32, p.shape, bytes_of(p.gradient, p.size())});
  format::write_safetensors(options.out, out, options.force);
}

void gradients(const Options& options, const Globals& globals) {
  if (std::filesystem::exists(options.out) && !options.force)
    fail(ErrorKind::file, "{} exists; --force overwrites it", options.out);
  const TokenIds ids = read_token_ids(options.tokens);
  const format::LoadedFiles files = format::load_model(infer::find_model(options.model));
  const model::ModelConfig& config = files.model->config;
  train::check_trainable(config, files.path);
  const train::Batch batch =
      train::next_token_batch(ids.values, ids.batch, config.vocab_size, options.tokens);
  train::LossWeights weights = train::comparison_weights(config);
  if (options.mtp >= 0) weights.mtp = config.mtp_layers > 0 ? options.mtp : 0.0f;
  if (options.balance >= 0) weights.balance = config.experts > 0 ? options.balance : 0.0f;
  ThreadPool pool(globals.threads);
  const bool exact = options.precision == model::Precision::f32;
  const train::Context context{kernels::active(), pool,
                               exact ? model::Precision::f32 : model::Precision::native};
  train::Network network(config);
  network.load(context, *files.model);
  network.refresh(context);
  const train::Losses losses = network.step(context, batch, weights, true);
  write(options, losses, weights, network.parameters());
}

constexpr const char* help_end =
    "IN.safetensors holds input_ids [B, T] (I64 or I32). OUT.safetensors gets, all in F32, the\n"
    "gradient of every trained tensor under its published name, and the losses: loss (the mean\n"
    "cross-entropy over the T-1 next tokens), total_loss (what the gradients are of), and of\n"
    "models with an MTP layer mtp_loss and balance_loss. There the whole is V3's\n"
    "loss + 0.3 mtp_loss + 0.01 balance_loss; for all others it is the cross-entropy alone.\n"
    "--precision native and bf16 both mean BF16 operands with F32 sums, as `hadal train` computes."
    "\n\n"
    "Examples:\n"
    "  hadal gradients model --tokens ids.safetensors --out gradients.safetensors\n"
    "  hadal gradients model --tokens ids.safetensors --out g.safetensors --balance-weight 1e-4\n";

}  // namespace

void add_gradients(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, globals, "gradients",
                                  "Write losses and gradients, to compare implementations",
                                  help_end, [options, &globals] { gradients(*options, globals); });
  command->add_option("MODEL", options->model, "Model folder, file or name")->required();
  command->add_option("--tokens", options->tokens, "Safetensors file with input_ids")->required();
  command->add_option("--out", options->out, "Safetensors file to write")->required();
  add_precision(command, &options->precision);
  command->add_option("--mtp-weight", options->mtp, "What the MTP layer's cross-entropy counts")
      ->check(CLI::Range(0.0, 100.0));
  command->add_option("--balance-weight", options->balance, "What the balance loss counts")
      ->check(CLI::Range(0.0, 100.0));
  command->add_flag("--force", options->force, "Overwrite the output");
  add_threads(command, globals);
}

}  // namespace hadal::cli
