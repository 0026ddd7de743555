#include "cli/settings.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "unit/cli/settings_fixture.h"

namespace hadal::cli {
namespace {

class SettingsTest : public SettingsFixture {
 protected:
  // The value and the origin of --color, as `hadal config show` says it.
  static std::pair<std::string, std::string> color(std::vector<std::string> flags = {}) {
    flags.insert(flags.begin(), {"config", "show", "--json"});
    for (const auto& row : nlohmann::json::parse(run(flags).out)) {
      if (row["command"] == "" && row["key"] == "color") return {row["value"], row["origin"]};
    }
    return {};
  }
};

TEST_F(SettingsTest, EnvironmentOverFileOverBuiltIn) {
  EXPECT_EQ(color(), std::make_pair(std::string("auto"), std::string("built-in")));
  write_config("# comment\ncolor = \"never\"\n");
  EXPECT_EQ(color().first, "never");
  EXPECT_EQ(color().second, (folder_ / "hadal" / "config.toml").string() + ":2");
  set_variable("HADAL_COLOR", "always");
  EXPECT_EQ(color(), std::make_pair(std::string("always"), std::string("HADAL_COLOR")));
}

TEST_F(SettingsTest, FlagOverAll) {
  write_config("[version]\njson = true\n");
  EXPECT_EQ(run({"version"}).out.front(), '{');
  set_variable("HADAL_VERSION_JSON", "0");
  EXPECT_NE(run({"version"}).out.front(), '{');
  EXPECT_EQ(run({"version", "--json"}).out.front(), '{');
}

TEST_F(SettingsTest, SharedFlagsHoldForEveryCommand) {
  write_config("json = true\n[version]\njson = false\n");
  EXPECT_NE(run({"version"}).out.front(), '{');  // the command's own wins
  write_config("json = true\n");
  EXPECT_EQ(run({"version"}).out.front(), '{');
}

TEST_F(SettingsTest, UnknownKeysAreErrorsWithASuggestion) {
  write_config("colour = \"never\"\n");
  Outcome outcome = run({"version"});
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_NE(outcome.err.find("config.toml:1: unknown key 'colour' (did you mean 'color'?)"),
            std::string::npos)
      << outcome.err;
  write_config("[versoin]\njson = true\n");
  outcome = run({"version"});
  EXPECT_NE(outcome.err.find("did you mean 'version'?"), std::string::npos) << outcome.err;
}

TEST_F(SettingsTest, WrongValuesNameTheirOrigin) {
  set_variable("HADAL_COLOR", "red");
  EXPECT_NE(run({"version"}).err.find("HADAL_COLOR: 'red'"), std::string::npos);
  unsetenv("HADAL_COLOR");
  write_config("[version]\njson = \"perhaps\"\n");
  const Outcome outcome = run({"version"});
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_NE(outcome.err.find("config.toml:2: 'perhaps'"), std::string::npos) << outcome.err;
}

TEST(ConfigFile, SaysWhereItIsBroken) {
  try {
    parse_config("a = 1\nb = = 2\n", "x.toml");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_EQ(std::string(error.what()).substr(0, 9), "x.toml:2:") << error.what();
  }
  EXPECT_THROW(parse_config("[a.b]\nc = 1\n", "x"), Error);
  EXPECT_THROW(parse_config("a = 1979-05-27\n", "x"), Error);
}

TEST(ConfigFile, TakesNumbersTextSwitchesAndLists) {
  const auto entries =
      parse_config("a = 0.7\nb = 12\n[run]\nc = true\nstop = [\"x\", \"y\"]\n", "f");
  ASSERT_EQ(entries.size(), 4u);
  Config config{entries};
  EXPECT_EQ(config.find("", "a")->values, std::vector<std::string>{"0.7"});
  EXPECT_EQ(config.find("", "b")->values, std::vector<std::string>{"12"});
  EXPECT_EQ(config.find("run", "c")->values, std::vector<std::string>{"true"});
  EXPECT_EQ(config.find("run", "stop")->values, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(config.find("run", "a"), nullptr);
}

TEST(Settings, Names) {
  EXPECT_EQ(environment_name("run", "top-p"), "HADAL_RUN_TOP_P");
  EXPECT_EQ(environment_name("", "threads"), "HADAL_THREADS");
}

}  // namespace
}  // namespace hadal::cli
