// hadal show, on the models of the tree.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "unit/cli/settings_fixture.h"

namespace hadal::cli {
namespace {

using nlohmann::json;
using ShowTest = SettingsFixture;

const std::string data = HADAL_SOURCE_DIR "/tests/golden/data/";

TEST_F(ShowTest, SaysWhatAModelIs) {
  const Outcome outcome = run({"show", data + "models/v3"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  for (const char* part : {"deepseek_v3", "4: 1 dense, 3 with 16 experts (4 per token, 1 shared)",
                           "1 for multi-token prediction", "2 of 4 groups", "routed experts"})
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part << " in\n" << outcome.out;
}

TEST_F(ShowTest, AsJson) {
  const Outcome outcome =
      run({"show", data + "gguf/v2-lite.ik.bf16.gguf", "--json", "--tensors", "--keys"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  const json value = json::parse(outcome.out);
  EXPECT_EQ(value["architecture"], "deepseek2");
  EXPECT_EQ(value["config"]["experts_per_token"], 3);
  EXPECT_EQ(value["config"]["cache_bytes_per_token"], 3 * (64 + 16) * 2);
  EXPECT_EQ(value["tokenizer"]["tokens"], 512);
  EXPECT_EQ(value["tensors"].size(), 47u);
  EXPECT_EQ(value["keys"]["general.architecture"], "deepseek2");
}

TEST_F(ShowTest, BrokenFilesAreNamed) {
  const Outcome outcome = run({"show", data + "models/v3/config.json"});
  EXPECT_EQ(outcome.code, kExitFailure);
  EXPECT_NE(outcome.err.find("config.json"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace hadal::cli
