// --precision, which several commands have.
#pragma once

#include <CLI/CLI.hpp>

#include "model/forward.h"

namespace hadal::cli {

// native, f32 or bf16; *precision holds the default and receives the choice. It must outlive the
// command.
void add_precision(CLI::App* command, model::Precision* precision);

const char* precision_name(model::Precision precision);

}  // namespace hadal::cli
