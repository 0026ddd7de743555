// A test that needs a model and folders of its own.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "e2e/process.h"

namespace hadal::e2e {

// The bundled model, or $HADAL_TEST_MODEL; "" if there is none.
inline std::string test_model() {
  if (const char* path = std::getenv("HADAL_TEST_MODEL")) return path;
  std::error_code ignored;
  for (const auto& entry :
       std::filesystem::directory_iterator(HADAL_SOURCE_DIR "/models", ignored)) {
    if (entry.path().extension() == ".gguf") return entry.path();
  }
  return "";
}

class ModelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    model_ = test_model();
    if (model_.empty()) GTEST_SKIP() << "no bundled model";
    folder_ = ::testing::TempDir() + "/hadal_e2e_" + std::to_string(getpid());
    std::filesystem::create_directories(folder_);
    enter_sandbox(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string model_, folder_;
};

}  // namespace hadal::e2e
