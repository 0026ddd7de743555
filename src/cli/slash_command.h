// What begins with a slash at the prompt of `hadal run`.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hadal::cli {

enum class SlashKind { help, think, system, reset, save, save_over, load, stats, bye, unknown };

struct SlashCommand {
  SlashKind kind = SlashKind::unknown;
  std::string name;      // as typed, without the slash
  std::string argument;  // the rest of the line, trimmed
};

// Nothing for lines that are meant for the model: those that don't begin with a slash, and those
// that look like a path ("/etc/hosts says ...").
std::optional<SlashCommand> parse_slash(std::string_view line);

std::vector<std::string> slash_names();
std::string slash_help();

}  // namespace hadal::cli
