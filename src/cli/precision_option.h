// --precision and --cache-type, which several commands have.
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

// --cache-type: bf16, q8_0 or f32; left unset without the option.
void add_cache_type(CLI::App* command, std::optional<quant::Type>* type);

const char* precision_name(model::Precision precision);

}  // namespace hadal::cli
