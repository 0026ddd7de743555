#include "cli/commands.h"

namespace hadal::cli {

void add_all_commands(CLI::App& app, Globals& globals) {
  // Talk
  add_run(app, globals);

  // Models
  add_show(app, globals);
  add_convert(app, globals);
  add_quantize(app, globals);
  add_synth(app, globals);
  add_list(app, globals);

  // Text
  add_tokenize(app, globals);
  add_template(app, globals);

  // Measure
  add_perplexity(app, globals);
  add_bench(app, globals);
  add_doctor(app, globals);
  add_logits(app, globals);

  // Set-up
  add_config(app, globals);
  add_completion(app, globals);
  add_version(app, globals);
}

}  // namespace hadal::cli
