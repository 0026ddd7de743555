// Every format decodes to the bits that gguf-py computes; what gguf-py has no golden for (FP8,
// MXFP4) is compared with the definition.
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "quant/blocks.h"
#include "quant/format.h"

namespace hadal::quant {
namespace {

std::vector<char> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The folders that hold goldens: the trimmed ones of the source tree, the full ones where present.
std::vector<std::string> golden_folders() {
  std::vector<std::string> folders = {HADAL_SOURCE_DIR "/tests/golden/data/quant"};
  const char* set = std::getenv("HADAL_GOLDENS");
  const std::string full = set ? set : HADAL_SOURCE_DIR "/../shared/goldens";
  if (std::filesystem::exists(full + "/quant")) folders.push_back(full + "/quant");
  return folders;
}

class DecodeGolden : public testing::TestWithParam<const char*> {};

TEST_P(DecodeGolden, EqualsBitForBit) {
  const std::string name = GetParam();
  const auto type = type_by_name(name);
  ASSERT_TRUE(type);
  for (const std::string& folder : golden_folders()) {
    const std::vector<char> blocks = read_file(folder + "/" + name + ".blocks");
    const std::vector<char> expected = read_file(folder + "/" + name + ".f32");
    ASSERT_GE(expected.size(), 4096u) << folder;
    const int64_t n = static_cast<int64_t>(expected.size() / 4);
    ASSERT_EQ(blocks.size(), row_bytes(*type, n));
    std::vector<float> out(static_cast<size_t>(n));
    decode_row(*type, blocks.data(), out.data(), n);
    for (size_t i = 0; i < out.size(); ++i) {
      float want;
      std::memcpy(&want, expected.data() + 4 * i, 4);
      ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), std::bit_cast<uint32_t>(want))
          << folder << " weight " << i << ": " << out[i] << " instead of " << want;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, DecodeGolden,
                         testing::Values("F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0",
                                         "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
                                         "IQ4_XS"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST(Decode, Fp8IsE4m3WithoutInfinity) {
  for (int code = 0; code < 256; ++code) {
    const uint8_t byte = static_cast<uint8_t>(code);
    float out;
    decode_row(Type::FP8_E4M3, &byte, &out, 1);
    const int exponent = code >> 3 & 15, mantissa = code & 7;
    if (exponent == 15 && mantissa == 7) {
      EXPECT_TRUE(std::isnan(out)) << code;
      continue;
    }
    const double magnitude = exponent == 0 ? std::ldexp(mantissa / 8.0, -6)
                                           : std::ldexp(1.0 + mantissa / 8.0, exponent - 7);
    EXPECT_EQ(out, code & 128 ? -magnitude : magnitude) << code;
    EXPECT_EQ(std::signbit(out), code >= 128) << code;
  }
}

TEST(Decode, Mxfp4ScalesReachBothEnds) {
  const double values[16] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6};
  for (const int e : {0, 1, 2, 126, 127, 128, 250, 254, 255}) {
    BlockMXFP4 block;
    block.e = static_cast<uint8_t>(e);
    for (int j = 0; j < 16; ++j) block.q[j] = static_cast<uint8_t>(j | (15 - j) << 4);
    float out[32];
    decode_row(Type::MXFP4, &block, out, 32);
    for (int j = 0; j < 16; ++j) {
      // Beyond the largest float an infinity, below the smallest normal one an exact subnormal.
      EXPECT_EQ(out[j], static_cast<float>(std::ldexp(values[j], e - 127))) << e << " " << j;
      EXPECT_EQ(out[j + 16], static_cast<float>(std::ldexp(values[15 - j], e - 127))) << e;
    }
  }
}

TEST(Decode, AnyAddressWillDo) {
  float x[256];
  for (int i = 0; i < 256; ++i) x[i] = std::sin(static_cast<float>(i));
  for (const Type type : {Type::F32, Type::F16, Type::Q8_0, Type::Q5_1, Type::Q6_K, Type::IQ4_XS}) {
    std::vector<char> bytes(row_bytes(type, 256) + 1);
    float even[256], odd[256];
    encode_row(type, x, bytes.data(), 256);
    decode_row(type, bytes.data(), even, 256);
    std::memmove(bytes.data() + 1, bytes.data(), bytes.size() - 1);
    decode_row(type, bytes.data() + 1, odd, 256);
    EXPECT_EQ(std::memcmp(even, odd, sizeof even), 0) << type_info(type).name;
  }
}

TEST(Types, AreKnownByNameAndId) {
  EXPECT_EQ(type_by_name("q4_k"), Type::Q4_K);
  EXPECT_EQ(type_by_name("Bf16"), Type::BF16);
  EXPECT_FALSE(type_by_name("q4_k_m"));
  EXPECT_FALSE(type_by_name(""));
  ASSERT_NE(find_type(12), nullptr);
  EXPECT_STREQ(find_type(12)->name, "Q4_K");
  EXPECT_EQ(find_type(16), nullptr);
  EXPECT_EQ(row_bytes(Type::Q6_K, 512), 420u);
}

TEST(Types, ForeignOnesAreNamed) {
  EXPECT_EQ(foreign_type_name(16), "IQ2_XXS");
  EXPECT_EQ(foreign_type_name(34), "TQ1_0");
  EXPECT_EQ(foreign_type_name(139), "ik_llama.cpp's private IQ4_K");
  EXPECT_EQ(foreign_type_name(212), "ik_llama.cpp's private Q4_K_R4");
  EXPECT_EQ(foreign_type_name(180), "a private type of ik_llama.cpp");
  EXPECT_EQ(foreign_type_name(60), "");
  EXPECT_EQ(foreign_type_name(4000000000u), "");
  for (uint32_t id = 0; id < 500; ++id) {
    if (find_type(id)) {
      EXPECT_EQ(foreign_type_name(id), "") << id;
    }
  }
}

}  // namespace
}  // namespace hadal::quant
