// hadal gradients as other implementations' tools meet it.
#include <cmath>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "e2e/process.h"
#include "format/safetensors_write.h"
#include "golden/goldens.h"

namespace hadal::e2e {
namespace {

namespace fs = std::filesystem;

class GradientsTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("hadal-gradients-" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string ids_file(const std::vector<int64_t>& shape, const std::vector<int64_t>& ids) const {
    const format::SafetensorsTensor tensors[] = {
        {"input_ids", format::Dtype::I64, shape, std::as_bytes(std::span(ids))}};
    format::write_safetensors(path("ids.safetensors"), tensors, true);
    return path("ids.safetensors");
  }
  Outcome run(const std::string& tokens, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"gradients", model_,  "--tokens",
                                          tokens,      "--out", path("out.safetensors")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  }

  fs::path folder_;
  const std::string model_ = std::string(HADAL_SOURCE_DIR) + "/tests/golden/data/models/v3";
};

TEST_F(GradientsTest, NamesTensorsAsPublishedAndSumsTheLoss) {
  const std::string ids = ids_file({2, 5}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  const Outcome outcome = run(ids);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const golden::Tensors out(path("out.safetensors"));
  const golden::Tensors model(model_ + "/model.safetensors");
  size_t gradients = 0;
  for (const std::string& name : model.names()) {
    // The MTP layer's own copies of embedding and head are the main model's.
    if (!out.has(name)) continue;
    EXPECT_EQ(out.shape(name), model.shape(name)) << name;
    double sum = 0;
    for (const float x : out.floats(name)) sum += static_cast<double>(std::abs(x));
    EXPECT_TRUE(std::isfinite(sum)) << name;
    ++gradients;
  }
  EXPECT_EQ(gradients + 4, out.names().size());
  const auto loss = [&](const char* name) { return static_cast<double>(out.floats(name)[0]); };
  EXPECT_NEAR(loss("total_loss"),
              loss("loss") + 0.3 * loss("mtp_loss") + 0.01 * loss("balance_loss"), 1e-5);
  EXPECT_NE(run(ids).code, 0);  // the output exists
  ASSERT_EQ(run(ids, {"--force", "--mtp-weight", "0", "--balance-weight", "0"}).code, 0);
  const golden::Tensors plain(path("out.safetensors"));
  EXPECT_EQ(plain.floats("total_loss")[0], plain.floats("loss")[0]);
  EXPECT_FALSE(plain.has("mtp_loss"));
}

TEST_F(GradientsTest, SaysWhatIsWrongWithTheInput) {
  const std::pair<std::vector<int64_t>, std::vector<int64_t>> wrong[] = {
      {{1, 3}, {1, 512, 3}}, {{1, 3}, {1, -1, 3}}, {{3, 1}, {1, 2, 3}}, {{1, 1, 2}, {1, 2}}};
  const char* said[] = {"id 512", "id -1", "two tokens", "[B, T]"};
  for (size_t i = 0; i < std::size(wrong); ++i) {
    const Outcome outcome = run(ids_file(wrong[i].first, wrong[i].second));
    EXPECT_EQ(outcome.code, 1);
    EXPECT_NE(outcome.err.find(said[i]), std::string::npos) << outcome.err;
    EXPECT_FALSE(fs::exists(path("out.safetensors")));
  }
  std::ofstream(path("text")) << "no tensors here";
  EXPECT_EQ(run(path("text")).code, 1);
  EXPECT_EQ(run(path("missing")).code, 1);
}

}  // namespace
}  // namespace hadal::e2e
