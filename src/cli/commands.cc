#include "cli/commands.h"

namespace hadal::cli {
namespace {

// Puts the commands that have no place yet under a heading of the help text.
void gather(CLI::App& app, const std::string& heading) {
  for (CLI::App* command : app.get_subcommands({})) {
    if (command->get_group() == "Subcommands") command->group(heading);
  }
}

}  // namespace

void add_all_commands(CLI::App& app, Globals& globals) {
  add_run(app, globals);
  gather(app, "Talk");

  add_serve(app, globals);
  add_key(app, globals);
  add_replay(app, globals);
  gather(app, "Serve");

  add_show(app, globals);
  add_convert(app, globals);
  add_quantize(app, globals);
  add_synth(app, globals);
  add_list(app, globals);
  gather(app, "Models");

  add_train(app, globals);
  add_sft(app, globals);
  gather(app, "Learn");

  add_tokenize(app, globals);
  add_template(app, globals);
  gather(app, "Text");

  add_eval(app, globals);
  add_perplexity(app, globals);
  add_bench(app, globals);
  add_doctor(app, globals);
  add_logits(app, globals);
  add_gradients(app, globals);
  gather(app, "Measure");

  add_data(app, globals);
  gather(app, "Learn");

  add_config(app, globals);
  add_completion(app, globals);
  add_version(app, globals);
  gather(app, "Set-up");
}

}  // namespace hadal::cli
