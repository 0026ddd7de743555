// hadal bench as a user meets it.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "e2e/process.h"

namespace hadal::e2e {
namespace {

const std::string with_mtp = std::string(HADAL_SOURCE_DIR) + "/tests/golden/data/models/v3";

TEST(BenchTest, SaysWhatSpeculationGains) {
  const Outcome outcome = run_program(
      {"bench", with_mtp, "-p", "0", "-n", "12", "-r", "2", "-b", "1,3", "--mtp", "2", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  const auto& rows = json["speculation"];
  ASSERT_EQ(rows.size(), 2u) << outcome.out;
  for (const auto& row : rows) {
    EXPECT_EQ(row["mtp"], "2");
    EXPECT_GT(row["ratio"], 0.0);
    EXPECT_GT(row["drafted_tokens"], 0);
    EXPECT_LE(row["accepted_tokens"], row["drafted_tokens"]);
  }
  EXPECT_EQ(rows[1]["batch"], 3);
}

TEST(BenchTest, RefusesSpeculationThatIsNone) {
  for (const std::string wrong : {"maybe", "9", "0", "-1", "2x"}) {
    const Outcome outcome = run_program({"bench", with_mtp, "--mtp", wrong});
    EXPECT_EQ(outcome.code, 2) << wrong;
    EXPECT_NE(outcome.err.find("1 to 8"), std::string::npos) << outcome.err;
  }
}

}  // namespace
}  // namespace hadal::e2e
