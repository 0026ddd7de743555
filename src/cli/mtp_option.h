// --mtp, which several commands have.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

namespace hadal::cli {

// auto, off, or a number of drafts, as EngineOptions::drafts has it. The second form tells whether
// the option was given.
void add_mtp(CLI::App* command, int64_t* drafts);
CLI::Option* add_mtp(CLI::App* command, std::optional<int64_t>* drafts);

// "auto", "off" or the number.
std::string mtp_name(int64_t drafts);

}  // namespace hadal::cli
