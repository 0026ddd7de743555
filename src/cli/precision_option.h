// --precision, which several commands have.
#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "model/forward.h"

namespace hadal::cli {

// native, f32 or bf16; *precision holds the default and receives the choice. It must outlive the
// command.
void add_precision(CLI::App* command, model::Precision* precision);
// The same for commands whose default depends on the model: left unset without the option.
void add_precision(CLI::App* command, std::optional<model::Precision>* precision,
                   const std::string& default_text);

const char* precision_name(model::Precision precision);

}  // namespace hadal::cli
