// The list of all commands, in the order of the help text.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/globals.h"

namespace hadal::cli {

void add_run(CLI::App& app, Globals& globals);
void add_serve(CLI::App& app, Globals& globals);
void add_key(CLI::App& app, Globals& globals);
void add_replay(CLI::App& app, Globals& globals);
void add_list(CLI::App& app, Globals& globals);
void add_convert(CLI::App& app, Globals& globals);
void add_quantize(CLI::App& app, Globals& globals);
void add_synth(CLI::App& app, Globals& globals);
void add_train(CLI::App& app, Globals& globals);
void add_sft(CLI::App& app, Globals& globals);
void add_tokenize(CLI::App& app, Globals& globals);
void add_template(CLI::App& app, Globals& globals);
void add_show(CLI::App& app, Globals& globals);
void add_bench(CLI::App& app, Globals& globals);
void add_doctor(CLI::App& app, Globals& globals);
void add_perplexity(CLI::App& app, Globals& globals);
void add_logits(CLI::App& app, Globals& globals);
void add_gradients(CLI::App& app, Globals& globals);
void add_eval(CLI::App& app, Globals& globals);
void add_data(CLI::App& app, Globals& globals);
void add_config(CLI::App& app, Globals& globals);
void add_completion(CLI::App& app, Globals& globals);
void add_version(CLI::App& app, Globals& globals);

void add_all_commands(CLI::App& app, Globals& globals);

}  // namespace hadal::cli
