// --mtp, which several commands have.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <CLI/CLI.hpp>

namespace hadal::cli {

// auto, off, or a number of drafts: `set` receives it as EngineOptions::drafts has it.
CLI::Option* add_mtp(CLI::App* command, std::function<void(int64_t)> set);

// "auto", "off" or the number.
std::string mtp_name(int64_t drafts);

}  // namespace hadal::cli
