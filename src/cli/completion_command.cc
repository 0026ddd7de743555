// A script per shell: commands after `hadal`, then the command's flags, else file names.
#include <algorithm>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/completion.h"

namespace hadal::cli {
namespace {

std::vector<CLI::App*> subcommands(CLI::App& app) {
  return app.get_subcommands({});
}

std::vector<std::string> flags(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// Single quotes of a text that stands in single quotes in sh, zsh or fish.
std::string quoted(std::string text) {
  std::string out;
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out;
}

std::string words_after(CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* inner : subcommands(command)) names.push_back(inner->get_name());
  const std::vector<std::string> own = flags(command);
  names.insert(names.end(), own.begin(), own.end());
  return fmt::format("{}", fmt::join(names, " "));
}

std::string bash_script(CLI::App& app) {
  std::string cases;
  for (CLI::App* command : subcommands(app)) {
    cases += fmt::format("    {}) words='{}' ;;\n", command->get_name(), words_after(*command));
  }
  return fmt::format(
      "# eval \"$(hadal completion bash)\" in ~/.bashrc\n"
      "_hadal() {{\n"
      "  local current=\"${{COMP_WORDS[COMP_CWORD]}}\" words\n"
      "  case \"${{COMP_WORDS[1]}}\" in\n"
      "{}"
      "    *) words='' ;;\n"
      "  esac\n"
      "  [[ $COMP_CWORD -eq 1 ]] && words='{}'\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "}}\n"
      "complete -o default -F _hadal hadal\n",
      cases, words_after(app));
}

std::string zsh_script(CLI::App& app) {
  std::string commands;
  std::string cases;
  for (CLI::App* command : subcommands(app)) {
    std::string summary = command->get_description();
    std::replace(summary.begin(), summary.end(), ':', ',');
    commands += fmt::format("    '{}:{}'\n", command->get_name(), quoted(summary));
    cases += fmt::format("    {}) compadd -- {} ;;\n", command->get_name(), words_after(*command));
  }
  return fmt::format(
      "#compdef hadal\n"
      "# source <(hadal completion zsh) in ~/.zshrc, after compinit\n"
      "_hadal() {{\n"
      "  local -a commands\n"
      "  commands=(\n{}  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe command commands\n"
      "    [[ $PREFIX == -* ]] && compadd -- {}\n"
      "    return\n"
      "  fi\n"
      "  case $words[2] in\n{}"
      "  esac\n"
      "  [[ $PREFIX == -* ]] || _files\n"
      "}}\n"
      "compdef _hadal hadal\n",
      commands, fmt::join(flags(app), " "), cases);
}

void add_fish_flags(const CLI::App& app, const std::string& condition, std::string& out) {
  for (const CLI::Option* option : app.get_options()) {
    std::string names;
    for (const std::string& name : option->get_lnames()) names += " -l " + name;
    for (const std::string& name : option->get_snames()) names += " -s " + name;
    if (names.empty()) continue;
    if (option->get_expected_max() > 0) names += " -r";
    out += fmt::format("complete -c hadal -n '{}'{} -d '{}'\n", condition, names,
                       quoted(option->get_description()));
  }
}

std::string fish_script(CLI::App& app) {
  std::string out = "# hadal completion fish > ~/.config/fish/completions/hadal.fish\n";
  add_fish_flags(app, "__fish_use_subcommand", out);
  for (CLI::App* command : subcommands(app)) {
    out += fmt::format("complete -c hadal -n __fish_use_subcommand -f -a {} -d '{}'\n",
                       command->get_name(), quoted(command->get_description()));
    const std::string inside = "__fish_seen_subcommand_from " + command->get_name();
    for (const CLI::App* inner : subcommands(*command)) {
      out += fmt::format("complete -c hadal -n '{}' -f -a {} -d '{}'\n", inside, inner->get_name(),
                         quoted(inner->get_description()));
    }
    add_fish_flags(*command, inside, out);
  }
  return out;
}

}  // namespace

std::string completion_script(CLI::App& app, const std::string& shell) {
  if (shell == "zsh") return zsh_script(app);
  if (shell == "fish") return fish_script(app);
  return bash_script(app);
}

void add_completion(CLI::App& app, Globals& globals) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = add_command(
      app, globals, "completion", "Print a script that completes commands and flags in your shell",
      "Examples:\n"
      "  eval \"$(hadal completion bash)\"                                in ~/.bashrc\n"
      "  source <(hadal completion zsh)                                 in ~/.zshrc\n"
      "  hadal completion fish > ~/.config/fish/completions/hadal.fish",
      [shell, &app] { fmt::print("{}", completion_script(app, *shell)); });
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}).description(""));
}

}  // namespace hadal::cli
