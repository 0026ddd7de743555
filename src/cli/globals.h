// What every command shares: the common flags, the settings behind them, and the command that the
// command line chose.
#pragma once

#include <functional>
#include <string>

#include "cli/config_file.h"

namespace hadal::cli {

struct Globals {
  std::string color = "auto";  // auto, always, never
  bool json = false;
  int threads = 0;       // 0: one per core
  std::string program;   // as called, for the completion scripts
  Config config;         // the config files, merged
  std::string selected;  // the command's name
  std::function<void()> run;
};

// Whether to send colours to the stream (stdout or stderr of this process): --color decides; auto
// means a terminal, without NO_COLOR and TERM=dumb.
bool use_color(const Globals& globals, int descriptor);

}  // namespace hadal::cli
