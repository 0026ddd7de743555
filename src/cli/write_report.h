// What convert, quantize and synth have in common: progress, and the words about the result.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/progress.h"
#include "format/convert.h"
#include "quant/mixture.h"

namespace hadal::cli {

// A callback that draws a bar and stops at Ctrl+C.
format::WriteProgress write_progress(const std::string& label);

// Throws Error(usage) that lists the names.
quant::Mixture parse_mixture(const std::string& name);

void print_notes(const std::vector<std::string>& notes);  // to stderr
nlohmann::ordered_json report_json(const format::WriteReport& report, const std::string& output);

}  // namespace hadal::cli
