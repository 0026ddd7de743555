#include "format/describe.h"

#include "builders.h"
#include "files.h"

namespace hadal::format {
namespace {

using hadal::testing::goldens;
using hadal::testing::ScratchFolder;

const Amount& part(const Description& d, Part which) {
  return d.parts[static_cast<int>(which)];
}

TEST(Describe, CountsEveryWeightOnce) {
  const Description d = describe((goldens() / "models" / "v3-f32-odd").string());
  ASSERT_TRUE(d.config.has_value());
  EXPECT_EQ(d.total.elements, d.parameters.total);
  EXPECT_EQ(d.total.bytes, 4 * d.parameters.total);
  EXPECT_EQ(part(d, Part::other).tensors, 0);
  EXPECT_EQ(part(d, Part::embedding).elements, 401 * 72);
  EXPECT_EQ(part(d, Part::router).elements, 2 * (12 * 72 + 12));
  EXPECT_EQ(part(d, Part::routed_experts).elements, 2 * 12 * 3 * 72 * 24);
  EXPECT_EQ(d.cache_bytes_per_token, 3 * (56 + 8) * 2);
  EXPECT_EQ(d.types.at("F32").tensors, d.total.tensors);
}

TEST(Describe, SplitSetsAndMtp) {
  const Description gguf =
      describe((goldens() / "gguf" / "v2-lite.split.bf16-00002-of-00003.gguf").string());
  EXPECT_EQ(gguf.container, "GGUF 3 in 3 files");
  EXPECT_EQ(gguf.total.elements, gguf.parameters.total);
  EXPECT_EQ(part(gguf, Part::other).tensors, 0);
  EXPECT_FALSE(gguf.metadata.empty());
  const Description v3 = describe((goldens() / "models" / "v3").string());
  EXPECT_EQ(part(v3, Part::mtp).elements, v3.total.elements - v3.parameters.total);
  EXPECT_GT(part(v3, Part::mtp).elements, 0);
}

TEST(Describe, ModelsThatCannotBeRun) {
  const ScratchFolder scratch;
  auto g = hadal::testing::tiny_gguf();
  g.set_string("general.architecture", "deepseek4");
  g.tensors[2].type = 139;
  const Description d = describe(scratch.write("v4.gguf", g.build()));
  EXPECT_FALSE(d.config.has_value());
  EXPECT_CONTAINS(d.problem, "DeepSeek-V4");
  EXPECT_EQ(d.architecture, "deepseek4");
  EXPECT_EQ(d.types.at("ik_llama.cpp's private IQ4_K").bytes, 0);
}

}  // namespace
}  // namespace hadal::format
