#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/train_report.h"
#include "cli/train_run.h"

namespace hadal::cli {
namespace {

struct Options {
  std::string config, run;
  std::vector<std::string> changes;
  bool resume = false, plan = false;
};

void train(const Options& options, const Globals& globals) {
  if (options.config.empty())
    fail(ErrorKind::usage, "which run? `hadal train CONFIG.toml`, or `hadal train report RUN`");
  TrainSettings settings = read_train_settings(options.config, options.changes);
  if (options.plan)
    print_plan(std::move(settings), globals);
  else
    run_training(std::move(settings), options.resume, globals);
}

constexpr const char* help_end =
    "CONFIG.toml says what to train on what, for how long and how: docs/train.md has all keys.\n"
    "The run's folder gets metrics.jsonl (one line a step), samples.jsonl, checkpoints/ (the\n"
    "newest two; each is a model that `hadal run` opens) and in the end model/.\n"
    "Ctrl+C and SIGTERM write a checkpoint and stop; --resume goes on as if nothing had happened.\n"
    "\n"
    "Examples:\n"
    "  hadal train nano.toml --plan\n"
    "  hadal train nano.toml --set run.budget=2h --set data.part=8\n"
    "  hadal train nano.toml --resume\n"
    "  mpirun -n 4 hadal train nano.toml\n"
    "  hadal train report runs/nano\n";

}  // namespace

void add_train(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, globals, "train", "Train a model from text", help_end, [] {});
  command->add_option("CONFIG", options->config, "The run's settings (TOML)");
  command
      ->add_option("--set", options->changes, "Change a setting: table.key=value; may be repeated")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_flag("--resume", options->resume, "Go on from the newest checkpoint");
  command->add_flag("--plan", options->plan,
                    "Say what the run takes (parameters, memory, speed, time, cost) and end");
  add_json(command, globals);
  add_threads(command, globals);
  CLI::App* report = command->add_subcommand("report", "Write a run's curves as RUN/report.html");
  report->add_option("RUN", options->run, "The run's folder")->required();
  report->callback([options, &globals] {
    globals.selected = "train";
    globals.run = [options] { write_train_report(options->run); };
  });
  command->callback([options, report, &globals] {
    if (report->parsed()) return;
    globals.selected = "train";
    globals.run = [options, &globals] { train(*options, globals); };
  });
}

}  // namespace hadal::cli
