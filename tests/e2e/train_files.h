// A small run of `hadal train`, and the files of it.
#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "data/inputs.h"
#include "data/token_store.h"
#include "e2e/process.h"

namespace hadal::e2e {

namespace fs = std::filesystem;

inline std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class TrainTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("hadal-train-" + std::to_string(getpid()));
    fs::create_directories(folder_);
    write_tokens("a.tokens", 1);
    write_tokens("b.tokens", 2);
    std::ofstream(folder_ / "run.toml")
        << "[run]\nout = \"run\"\nsteps = 12\nmeasure = false\n[model]\nconfig = \"" << config_
        << "\"\n[data]\nsources = [\"a.tokens\", \"b.tokens\"]\nlength = 24\nsequences = 4\n"
           "part = 3\nlate_from = 0.5\nlate_weights = [1, 3]\n[loss]\nmtp_from = 0.5\n"
           "[optimizer]\naverage = 0.9\n[checkpoint]\nsteps = 2\n";
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Documents in which a token follows from the one before, mostly.
  void write_tokens(const std::string& name, uint64_t seed) const {
    data::TokenStoreWriter writer({512, 0, data::file_hash(tokenizer_file_)});
    for (uint64_t document = 0; document < 40; ++document) {
      std::vector<int32_t> ids = {0};
      for (uint64_t i = 0; i < 40; ++i)
        ids.push_back(random_uniform(seed, document, i) < 0.8 ? (ids.back() * 7 + 3) % 512
                                                              : static_cast<int32_t>(i + seed));
      writer.add(ids);
    }
    writer.write((folder_ / name).string(), true);
  }
  std::vector<std::string> arguments(const std::string& out,
                                     const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {"train", (folder_ / "run.toml").string(), "--set",
                                    "run.out=" + (folder_ / out).string()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  fs::path folder_;
  const std::string tokenizer_file_ =
      std::string(HADAL_SOURCE_DIR) + "/tests/golden/data/tokenizers/deepseek-v3-512.json";
  const std::string config_ =
      std::string(HADAL_SOURCE_DIR) + "/tests/golden/data/models/v3/config.json";
};

}  // namespace hadal::e2e
