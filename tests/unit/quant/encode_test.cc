// Encoders: errors near those of ggml's own encoders (measured on the same normal weights, ggml
// gives Q2_K 0.297, Q3_K 0.151, Q4_K 0.0713, Q5_K 0.0361, Q6_K 0.0178, IQ4_NL 0.0787, IQ4_XS
// 0.0767; the 32-blocks equal its bytes), exact fixed points, and inputs at the edges.
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "quant/format.h"

namespace hadal::quant {
namespace {

constexpr Type all_types[] = {Type::F32,  Type::F16,    Type::BF16,   Type::Q8_0,
                              Type::Q4_0, Type::Q4_1,   Type::Q5_0,   Type::Q5_1,
                              Type::Q2_K, Type::Q3_K,   Type::Q4_K,   Type::Q5_K,
                              Type::Q6_K, Type::IQ4_NL, Type::IQ4_XS, Type::MXFP4};

std::vector<float> normal_weights(size_t n, float scale) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) x[i] = scale * random_normal(7, 1, i);
  return x;
}

std::vector<float> round_trip(Type type, const std::vector<float>& x) {
  const int64_t n = static_cast<int64_t>(x.size());
  std::vector<char> blocks(row_bytes(type, n));
  std::vector<float> y(x.size());
  encode_row(type, x.data(), blocks.data(), n);
  decode_row(type, blocks.data(), y.data(), n);
  return y;
}

double relative_error(const std::vector<float>& x, const std::vector<float>& y) {
  double error = 0.0, norm = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    error += std::pow(static_cast<double>(x[i]) - y[i], 2);
    norm += std::pow(static_cast<double>(x[i]), 2);
  }
  return std::sqrt(error / norm);
}

struct Bound {
  Type type;
  double error;
};

TEST(Encode, ErrorsAreNearTheBestKnown) {
  const std::vector<float> x = normal_weights(256 * 256, 0.02f);
  for (const Bound bound :
       {Bound{Type::F32, 0.0}, Bound{Type::F16, 3e-4}, Bound{Type::BF16, 2e-3},
        Bound{Type::Q8_0, 0.0056}, Bound{Type::Q4_0, 0.087}, Bound{Type::Q4_1, 0.080},
        Bound{Type::Q5_0, 0.044}, Bound{Type::Q5_1, 0.039}, Bound{Type::Q2_K, 0.280},
        Bound{Type::Q3_K, 0.156}, Bound{Type::Q4_K, 0.0725}, Bound{Type::Q5_K, 0.0365},
        Bound{Type::Q6_K, 0.0180}, Bound{Type::IQ4_NL, 0.0775}, Bound{Type::IQ4_XS, 0.0780},
        Bound{Type::MXFP4, 0.117}}) {
    EXPECT_LE(relative_error(x, round_trip(bound.type, x)), bound.error)
        << type_info(bound.type).name;
  }
}

TEST(Encode, ErrorsDoNotDependOnTheScale) {
  // Down to where scales become F16 subnormals, up to where they still fit.
  for (const float scale : {1e-4f, 1.0f, 100.0f}) {
    const std::vector<float> x = normal_weights(256 * 16, scale);
    for (const Type type :
         {Type::Q8_0, Type::Q4_0, Type::Q5_1, Type::Q4_K, Type::Q6_K, Type::IQ4_XS, Type::MXFP4}) {
      EXPECT_LE(relative_error(x, round_trip(type, x)), 0.13) << type_info(type).name << scale;
    }
  }
}

TEST(Encode, DecodedBlocksAreFixedPoints) {
  // x = d * q with q reaching the end of its range encodes to the very same weights.
  const std::vector<float> x = normal_weights(256 * 64, 0.05f);
  for (const Type type :
       {Type::F32, Type::F16, Type::BF16, Type::Q8_0, Type::Q4_0, Type::Q5_0, Type::MXFP4}) {
    const std::vector<float> once = round_trip(type, x);
    const std::vector<float> twice = round_trip(type, once);
    ASSERT_EQ(std::memcmp(once.data(), twice.data(), once.size() * sizeof(float)), 0)
        << type_info(type).name;
  }
}

TEST(Encode, ZerosStayZeros) {
  const std::vector<float> zeros(512, 0.0f);
  for (const Type type : all_types) {
    for (const float y : round_trip(type, zeros)) EXPECT_EQ(y, 0.0f) << type_info(type).name;
  }
}

TEST(Encode, ConstantAndLopsidedGroupsKeepTheirValue) {
  std::vector<float> x(512);
  for (size_t i = 0; i < x.size(); ++i) x[i] = i < 256 ? 0.75f : 1.0f + 0.001f * (i % 32);
  for (const Type type : all_types) {
    EXPECT_LE(relative_error(x, round_trip(type, x)), 0.12) << type_info(type).name;
  }
}

TEST(Encode, ExtremeFloatsGiveFiniteWeights) {
  const float largest = std::numeric_limits<float>::max(), tiny = 1e-42f;
  for (const float extreme : {largest, -largest, 1e30f, 65504.0f, tiny, 1e-30f}) {
    std::vector<float> x(256, 0.0f);
    x[3] = extreme;
    x[40] = -extreme / 3.0f;
    x[250] = 1.0f;
    for (const Type type : all_types) {
      if (type == Type::F16 || type == Type::BF16) continue;  // these may round to infinity
      for (const float y : round_trip(type, x)) {
        EXPECT_TRUE(std::isfinite(y)) << type_info(type).name << " " << extreme;
      }
    }
  }
}

}  // namespace
}  // namespace hadal::quant
