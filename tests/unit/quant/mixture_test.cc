#include "quant/mixture.h"

#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "quant/format.h"

namespace hadal::quant {
namespace {

Type q4_k_m(const std::string& name, int64_t row, int64_t layers, int rank = 2) {
  return choose_type(Mixture::Q4_K_M, name, rank, row, {.layers = layers, .has_head = true});
}

TEST(Mixture, Q4KMOfV2Lite) {
  const int64_t n = 27;  // n / 8 = 3, 7n / 8 = 23
  EXPECT_EQ(q4_k_m("token_embd.weight", 2048, n), Type::Q4_K);
  EXPECT_EQ(q4_k_m("output.weight", 2048, n), Type::Q6_K);
  EXPECT_EQ(q4_k_m("output_norm.weight", 2048, n, 1), Type::F32);
  EXPECT_EQ(q4_k_m("blk.0.attn_q.weight", 2048, n), Type::Q4_K);
  EXPECT_EQ(q4_k_m("blk.0.attn_k_b.weight", 128, n, 3), Type::Q5_0);
  EXPECT_EQ(q4_k_m("blk.0.attn_v_b.weight", 512, n, 3), Type::Q4_K);  // no attn_v
  EXPECT_EQ(q4_k_m("blk.0.ffn_down.weight", 10944, n), Type::Q8_0);   // no multiple of 256
  EXPECT_EQ(q4_k_m("blk.1.ffn_gate_inp.weight", 2048, n), Type::F32);
  EXPECT_EQ(q4_k_m("blk.1.exp_probs_b.bias", 64, n, 1), Type::F32);
  EXPECT_EQ(q4_k_m("blk.1.ffn_gate_exps.weight", 2048, n, 3), Type::Q4_K);
  int more = 0;
  for (int64_t layer = 1; layer < n; ++layer) {
    const bool high = layer < 3 || layer >= 23 || (layer - 3) % 3 == 2;
    more += high;
    EXPECT_EQ(q4_k_m(fmt::format("blk.{}.ffn_down_exps.weight", layer), 1408, n, 3),
              high ? Type::Q8_0 : Type::Q5_0);
    EXPECT_EQ(q4_k_m(fmt::format("blk.{}.ffn_down_shexp.weight", layer), 2816, n),
              high ? Type::Q6_K : Type::Q4_K);
  }
  EXPECT_EQ(more, 12);  // 1, 2, 5, 8, 11, 14, 17, 20, 23, 24, 25, 26
}

TEST(Mixture, Q4KMOfV3) {
  const int64_t n = 61;  // n / 8 = 7, 7n / 8 = 53
  EXPECT_EQ(q4_k_m("blk.6.ffn_down_exps.weight", 2048, n, 3), Type::Q6_K);
  EXPECT_EQ(q4_k_m("blk.7.ffn_down_exps.weight", 2048, n, 3), Type::Q4_K);
  EXPECT_EQ(q4_k_m("blk.9.ffn_down_exps.weight", 2048, n, 3), Type::Q6_K);
  EXPECT_EQ(q4_k_m("blk.52.ffn_down_exps.weight", 2048, n, 3), Type::Q4_K);
  EXPECT_EQ(q4_k_m("blk.53.ffn_down_exps.weight", 2048, n, 3), Type::Q6_K);
  EXPECT_EQ(q4_k_m("blk.61.nextn.eh_proj.weight", 14336, n), Type::Q4_K);
  EXPECT_EQ(q4_k_m("blk.61.nextn.enorm.weight", 7168, n, 1), Type::F32);
}

TEST(Mixture, DenseValuesGetMoreBitsToo) {
  EXPECT_EQ(q4_k_m("blk.0.attn_v.weight", 4096, 32), Type::Q6_K);
  EXPECT_EQ(q4_k_m("blk.4.attn_v.weight", 4096, 32), Type::Q4_K);
  EXPECT_EQ(q4_k_m("blk.0.attn_k.bias", 4096, 32, 1), Type::F32);
}

TEST(Mixture, HeadsFollowTheirOwnRule) {
  const MixtureContext tied{.layers = 5, .has_head = false};
  EXPECT_EQ(choose_type(Mixture::Q4_K_M, "token_embd.weight", 2, 192, tied), Type::Q8_0);
  EXPECT_EQ(choose_type(Mixture::Q4_K_M, "token_embd.weight", 2, 256, tied), Type::Q6_K);
  EXPECT_EQ(choose_type(Mixture::Q8_0, "token_embd.weight", 2, 256, tied), Type::Q8_0);
  const MixtureContext untied{.layers = 5, .has_head = true};
  EXPECT_EQ(choose_type(Mixture::Q4_0, "output.weight", 2, 256, untied), Type::Q6_K);
  EXPECT_EQ(choose_type(Mixture::IQ4_XS, "output.weight", 2, 256, untied), Type::Q6_K);
  EXPECT_EQ(choose_type(Mixture::BF16, "output.weight", 2, 256, untied), Type::BF16);
}

TEST(Mixture, RowsThatFitNoBlockFallBack) {
  const MixtureContext context{.layers = 8, .has_head = true};
  const auto type = [&](Mixture mixture, int64_t row) {
    return choose_type(mixture, "blk.4.attn_q.weight", 2, row, context);
  };
  EXPECT_EQ(type(Mixture::Q5_K_M, 96), Type::Q5_1);
  EXPECT_EQ(type(Mixture::Q6_K, 96), Type::Q8_0);
  EXPECT_EQ(type(Mixture::IQ4_XS, 96), Type::IQ4_NL);
  EXPECT_EQ(type(Mixture::Q4_0, 96), Type::Q4_0);
  for (const Mixture mixture : {Mixture::Q8_0, Mixture::Q6_K, Mixture::Q4_K_M, Mixture::Q4_0}) {
    EXPECT_EQ(type(mixture, 72), Type::BF16);
  }
  EXPECT_EQ(type(Mixture::F16, 72), Type::F16);
}

TEST(Mixture, NamesAndFileTypes) {
  EXPECT_EQ(mixture_by_name("q4_k_m"), Mixture::Q4_K_M);
  EXPECT_EQ(mixture_by_name("IQ4_xs"), Mixture::IQ4_XS);
  EXPECT_FALSE(mixture_by_name("q4_k"));
  EXPECT_EQ(mixture_file_type(Mixture::Q4_K_M), 15u);
  EXPECT_EQ(mixture_file_type(Mixture::BF16), 32u);
  for (const auto mixture : {Mixture::F32, Mixture::Q8_0, Mixture::Q5_K_M, Mixture::IQ4_XS}) {
    EXPECT_EQ(mixture_by_name(mixture_name(mixture)), mixture);
    EXPECT_NE(mixture_names().find(mixture_name(mixture)), std::string_view::npos);
  }
}

}  // namespace
}  // namespace hadal::quant
