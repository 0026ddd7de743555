// Where Hadal keeps things, by the XDG base directory rules. "" if neither the XDG variable nor
// HOME is set.
#pragma once

#include <string>

namespace hadal::cli {

std::string config_home();  // ~/.config/hadal
std::string state_home();   // ~/.local/state/hadal
std::string data_home();    // ~/.local/share/hadal

}  // namespace hadal::cli
