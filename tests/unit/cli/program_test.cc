#include "cli/program.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/completion.h"
#include "unit/cli/settings_fixture.h"

namespace hadal::cli {
namespace {

using ProgramTest = SettingsFixture;

TEST_F(ProgramTest, HelpAtEveryLevelHasExamples) {
  CLI::App app;
  Globals globals;
  build_app(app, globals);
  for (const CLI::App* command : app.get_subcommands({})) {
    const Outcome outcome = run({command->get_name(), "-h"});
    EXPECT_EQ(outcome.code, kExitOk) << command->get_name();
    EXPECT_NE(outcome.out.find("Examples:"), std::string::npos) << command->get_name();
    EXPECT_NE(outcome.out.find("hadal " + command->get_name()), std::string::npos);
    EXPECT_EQ(outcome.err, "");
  }
  EXPECT_NE(run({"-h"}).out.find("Exit codes"), std::string::npos);
  EXPECT_EQ(run({}).code, kExitOk);
}

TEST_F(ProgramTest, VersionGoesToStdout) {
  EXPECT_EQ(run({"--version"}).out, "hadal " HADAL_VERSION "\n");
  EXPECT_EQ(nlohmann::json::parse(run({"version", "--json"}).out)["version"], HADAL_VERSION);
}

TEST_F(ProgramTest, UnknownCommandOrFlagIsUsage) {
  Outcome outcome = run({"verzion"});
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_EQ(outcome.out, "");
  EXPECT_NE(outcome.err.find("hadal: no command is called 'verzion' (did you mean 'version'?)"),
            std::string::npos)
      << outcome.err;
  outcome = run({"config", "show", "--al"});
  EXPECT_EQ(outcome.code, kExitUsage);
  outcome = run({"version", "--colr=never"});
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_NE(outcome.err.find("did you mean '--color'?"), std::string::npos) << outcome.err;
  EXPECT_EQ(run({"version", "--color", "red"}).code, kExitUsage);
  EXPECT_EQ(run({"completion"}).code, kExitUsage);
}

TEST_F(ProgramTest, ErrorsAsJson) {
  const Outcome outcome = run({"version", "--json", "--nonsense"});
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_EQ(nlohmann::json::parse(outcome.err)["error"]["kind"], "usage");
}

TEST_F(ProgramTest, CompletionKnowsEveryCommandAndFlag) {
  CLI::App app;
  Globals globals;
  build_app(app, globals);
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = completion_script(app, shell);
    const bool fish = std::string(shell) == "fish";
    for (const CLI::App* command : app.get_subcommands({})) {
      EXPECT_NE(script.find(command->get_name()), std::string::npos) << shell;
      for (const CLI::Option* option : command->get_options()) {
        for (const std::string& name : option->get_lnames()) {
          EXPECT_NE(script.find((fish ? "-l " : "--") + name), std::string::npos) << name;
        }
      }
    }
    EXPECT_EQ(run({"completion", shell}).out, script);
  }
}

}  // namespace
}  // namespace hadal::cli
