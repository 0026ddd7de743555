// Runs the program inside the test, with config files and environment of the test's own.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/program.h"

namespace hadal::cli {

class SettingsFixture : public ::testing::Test {
 protected:
  struct Outcome {
    int code;
    std::string out, err;
  };

  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(::testing::TempDir()) /
              (std::string("hadal_cli_") + test->name() + "_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_ / "hadal");
    setenv("XDG_CONFIG_HOME", folder_.c_str(), 1);
  }

  void TearDown() override {
    std::filesystem::remove_all(folder_);
    for (const std::string& name : variables_) unsetenv(name.c_str());
  }

  void write_config(const std::string& text) {
    std::ofstream(folder_ / "hadal" / "config.toml") << text;
  }

  void set_variable(const std::string& name, const std::string& value) {
    setenv(name.c_str(), value.c_str(), 1);
    variables_.push_back(name);
  }

  static Outcome run(const std::vector<std::string>& arguments) {
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int code = run_program("hadal", arguments);
    std::string out = ::testing::internal::GetCapturedStdout();
    std::string err = ::testing::internal::GetCapturedStderr();
    return {code, std::move(out), std::move(err)};
  }

  std::filesystem::path folder_;
  std::vector<std::string> variables_;
};

}  // namespace hadal::cli
