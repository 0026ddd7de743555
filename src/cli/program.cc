#include "cli/program.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/settings.h"
#include "cli/suggest.h"

namespace hadal::cli {
namespace {

const char* kind_name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::usage:
      return "usage";
    case ErrorKind::file:
      return "file";
    case ErrorKind::format:
      return "format";
    case ErrorKind::unsupported:
      return "unsupported";
    case ErrorKind::limit:
      return "limit";
    case ErrorKind::interrupted:
      return "interrupted";
  }
  return "";
}

int report(ErrorKind kind, const std::string& message, bool json) {
  std::fflush(stdout);
  if (json) {
    const nlohmann::ordered_json error = {
        {"error", {{"kind", kind_name(kind)}, {"message", message}}}};
    const auto replace = nlohmann::ordered_json::error_handler_t::replace;
    fmt::print(stderr, "{}\n", error.dump(-1, ' ', false, replace));
  } else {
    fmt::print(stderr, "hadal: {}\n", message);
  }
  if (kind == ErrorKind::interrupted) return kExitInterrupted;
  return kind == ErrorKind::usage ? kExitUsage : kExitFailure;
}

std::vector<std::string> command_names(CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

std::vector<std::string> flag_names(CLI::App& app, CLI::App* command) {
  std::vector<std::string> names;
  for (CLI::App* source : {&app, command}) {
    if (source == nullptr) continue;
    for (const CLI::Option* option : source->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

// What is wrong with an argument that nothing expected.
std::string unexpected_argument(CLI::App& app, const std::vector<std::string>& arguments) {
  CLI::App* command = nullptr;
  for (const std::string& argument : arguments) {
    if (argument.empty() || argument[0] == '-') continue;
    command = find_command(app, argument);
    if (command == nullptr) {
      return fmt::format("no command is called '{}'{}", argument,
                         did_you_mean(argument, command_names(app)));
    }
    break;
  }
  const std::vector<std::string> extras = app.remaining(true);
  for (const std::string& extra : extras) {
    if (extra.size() > 1 && extra[0] == '-') {
      const std::string flag = extra.substr(0, extra.find('='));
      return fmt::format("unknown flag '{}'{}", flag, did_you_mean(flag, flag_names(app, command)));
    }
  }
  return fmt::format("unexpected argument '{}'", extras.empty() ? "" : extras[0]);
}

int usage_error(CLI::App& app, const std::vector<std::string>& arguments, std::string message,
                bool json) {
  if (!json) {
    std::string command;
    for (const std::string& argument : arguments) {
      if (find_command(app, argument) != nullptr) {
        command = " " + argument;
        break;
      }
    }
    message += fmt::format("\nhadal{} -h shows what there is", command);
  }
  return report(ErrorKind::usage, message, json);
}

// Parses, fills in the settings and runs. Throws what the parser and the command throw.
int parse_and_run(CLI::App& app, Globals& globals, const std::vector<std::string>& arguments) {
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants them
  app.parse(reversed);
  globals.config = load_config();
  check_config(app, globals.config);
  apply_settings(app, globals);
  if (!globals.run) {
    fmt::print("{}", app.help());
    return kExitOk;
  }
  globals.run();
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    fail(ErrorKind::file, "cannot write the output: is the disk full?");
  }
  return kExitOk;
}

}  // namespace

void build_app(CLI::App& app, Globals& globals) {
  app.name("hadal");
  app.description("A DeepSeek of your own: models of the DeepSeek family, on your own machine.");
  app.footer(
      "Examples:\n"
      "  hadal run                          talk to the bundled model\n"
      "  hadal run \"What is 7 + 5?\"         one answer\n"
      "  hadal run model.gguf < text.txt    a model file, and a prompt from a pipe\n"
      "  hadal run -h                       what a command can do\n"
      "\nExit codes: 0 done, 1 failed, 2 wrong command line, 130 stopped by Ctrl+C.");
  app.set_help_flag("-h,--help", "Show this help");
  app.set_version_flag("--version", "hadal " HADAL_VERSION, "Say which Hadal this is");
  app.require_subcommand(0, 1);
  app.option_defaults()->always_capture_default();
  app.add_option("--color", globals.color, "Colours: auto, always or never")
      ->type_name("WHEN")
      ->check(CLI::IsMember({"auto", "always", "never"}).description(""));
  app.get_formatter()->column_width(30);
  add_all_commands(app, globals);
}

int run_program(const std::string& program, const std::vector<std::string>& arguments) {
  const bool json = std::find(arguments.begin(), arguments.end(), "--json") != arguments.end();
  install_signal_handlers();
  CLI::App app;
  Globals globals;
  globals.program = program;
  try {
    build_app(app, globals);
    return parse_and_run(app, globals, arguments);
  } catch (const CLI::Success& success) {  // --help and --version
    return app.exit(success);
  } catch (const CLI::ExtrasError&) {
    return usage_error(app, arguments, unexpected_argument(app, arguments), json);
  } catch (const CLI::ParseError& error) {
    return usage_error(app, arguments, error.what(), json);
  } catch (const Error& error) {
    return report(error.kind(), error.what(), json || globals.json);
  } catch (const std::bad_alloc&) {
    return report(ErrorKind::limit, "out of memory", json || globals.json);
  } catch (const std::exception& error) {
    return report(ErrorKind::file, error.what(), json || globals.json);
  }
}

}  // namespace hadal::cli
