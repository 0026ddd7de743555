#include "cli/slash_command.h"

#include <algorithm>
#include <array>
#include <utility>

namespace hadal::cli {
namespace {

constexpr std::array<std::pair<std::string_view, SlashKind>, 14> kNames = {{
    {"help", SlashKind::help},
    {"?", SlashKind::help},
    {"think", SlashKind::think},
    {"system", SlashKind::system},
    {"reset", SlashKind::reset},
    {"clear", SlashKind::reset},
    {"save", SlashKind::save},
    {"save!", SlashKind::save_over},
    {"load", SlashKind::load},
    {"stats", SlashKind::stats},
    {"bye", SlashKind::bye},
    {"exit", SlashKind::bye},
    {"quit", SlashKind::bye},
    {"q", SlashKind::bye},
}};

std::string trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1));
}

}  // namespace

std::optional<SlashCommand> parse_slash(std::string_view line) {
  if (line.empty() || line[0] != '/') return std::nullopt;
  const size_t end = line.find_first_of(" \t\r\n");
  SlashCommand command;
  command.name = std::string(line.substr(1, end == std::string_view::npos ? end : end - 1));
  if (command.name.find('/') != std::string::npos) return std::nullopt;
  if (end != std::string_view::npos) command.argument = trimmed(line.substr(end));
  for (const auto& [name, kind] : kNames) {
    if (command.name == name) command.kind = kind;
  }
  return command;
}

std::vector<std::string> slash_names() {
  std::vector<std::string> names;
  for (const auto& entry : kNames) names.emplace_back(entry.first);
  return names;
}

std::string slash_help() {
  return "  /think on|off       let the model think before it answers, or not\n"
         "  /think show|hide    show its thoughts, or one line in their place\n"
         "  /system TEXT        set the system text; without TEXT, remove it\n"
         "  /reset              forget the dialogue (the system text stays)\n"
         "  /save FILE          keep the dialogue in FILE; /save! overwrites\n"
         "  /load FILE          go on with a saved dialogue\n"
         "  /stats              speed and memory\n"
         "  /bye                leave (or Ctrl+D)\n"
         "\n"
         "  \"\"\"                 begins and ends a text of several lines\n"
         "  Ctrl+C              stops the answer; twice leaves\n"
         "  Ctrl+R              searches what you typed before\n";
}

}  // namespace hadal::cli
