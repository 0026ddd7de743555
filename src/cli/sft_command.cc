#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/train_run.h"

namespace hadal::cli {
namespace {

struct Options {
  std::string model, out;
  std::vector<std::string> data, changes;
  int64_t steps = 1000;
  bool lora = false, resume = false, plan = false;
};

// What differs from training from nothing: a checkpoint to start from, smaller steps of learning
// (a third), one long decay, no MTP loss unless asked for.
std::vector<std::string> defaults(const Options& options) {
  std::string sources = "data.sources=[";
  for (const std::string& path : options.data) {
    if (path.find_first_of("'\n") != std::string::npos)
      fail(ErrorKind::usage, "{}: a data file's name must not hold quotes or line feeds", path);
    sources += "'" + path + "',";
  }
  std::vector<std::string> out = {"model.start=" + options.model,
                                  "run.out=" + options.out,
                                  "run.steps=" + std::to_string(options.steps),
                                  sources + "]",
                                  "optimizer.lr=1e-3",
                                  "optimizer.embedding_lr=1e-3",
                                  "optimizer.router_lr=3e-4",
                                  "optimizer.vector_lr=3e-4",
                                  "schedule.warmup=0.05",
                                  "schedule.decay=0.95",
                                  "data.sequences=64",
                                  "loss.mtp=0"};
  if (options.lora)
    for (const char* change : {"lora.rank=16", "optimizer.rule=adamw", "optimizer.weight_decay=0"})
      out.emplace_back(change);
  return out;
}

void sft(const Options& options, const Globals& globals) {
  std::vector<std::string> changes = defaults(options);
  changes.insert(changes.end(), options.changes.begin(), options.changes.end());
  TrainSettings settings = read_train_settings("", changes);
  if (options.plan)
    print_plan(std::move(settings), globals);
  else
    run_training(std::move(settings), options.resume, globals);
}

constexpr const char* help_end =
    "DATA are token stores of dialogues with the tokens to be learnt marked (the assistant's);\n"
    "stores without marks teach every token. All weights learn, or with --lora adapters beside\n"
    "attention and experts, merged in the end: far less memory. RUN is as `hadal train` leaves "
    "it,\n"
    "and --set changes any of its settings (docs/train.md).\n\n"
    "Examples:\n"
    "  hadal sft runs/nano/model dialogues.tokens --out runs/chat --steps 400\n"
    "  hadal sft model dialogues.tokens --out runs/chat --lora --set lora.rank=8\n"
    "  hadal sft model a.tokens b.tokens --out runs/chat --set 'data.weights=[3, 1]'\n";

}  // namespace

void add_sft(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, globals, "sft", "Teach a model to answer: fine-tuning on dialogues",
                  help_end, [options, &globals] { sft(*options, globals); });
  command->add_option("MODEL", options->model, "Model folder to start from")->required();
  command->add_option("DATA", options->data, "Token stores of dialogues")->required();
  command->add_option("--out", options->out, "The run's folder")->required();
  command->add_option("--steps", options->steps, "Steps of the run")->capture_default_str();
  command
      ->add_option("--set", options->changes, "Change a setting: table.key=value; may be repeated")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_flag("--lora", options->lora, "Teach adapters of rank 16 and leave the weights");
  command->add_flag("--resume", options->resume, "Go on from the newest checkpoint");
  command->add_flag("--plan", options->plan, "Say what the run takes and end");
  add_json(command, globals);
  add_threads(command, globals);
}

}  // namespace hadal::cli
