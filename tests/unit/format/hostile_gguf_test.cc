// Broken and hostile GGUF files: each is refused with a message that says what is wrong and where.
#include <limits>
#include <random>

#include "builders.h"
#include "files.h"
#include "format/gguf_read.h"
#include "format/load_parts.h"

namespace hadal::format {
namespace {

using hadal::testing::Bytes;
using hadal::testing::error_of;
using hadal::testing::floats;
using hadal::testing::GgufBuilder;
using hadal::testing::put;
using hadal::testing::tiny_gguf;

LoadedFiles load(const Bytes& bytes) {
  const Gguf gguf(bytes, "x.gguf");
  return bind_gguf_parts({&gguf}, "x.gguf");
}

std::string error_for(const GgufBuilder& builder) {
  const std::string message = error_of([&] { load(builder.build()); });
  EXPECT_CONTAINS(message, "x.gguf");
  return message;
}

TEST(HostileGguf, TheUnbrokenFileLoads) {
  const Bytes bytes = tiny_gguf().build();
  const LoadedFiles files = load(bytes);
  EXPECT_EQ(files.model->layers.size(), 2u);
  EXPECT_NE(files.model->layers[0].attention.kv_b.data, nullptr);
  EXPECT_NE(files.model->layers[1].attention.k_b.data, nullptr);
  EXPECT_EQ(files.gguf_tokenizer->tokens.size(), 5u);
}

TEST(HostileGguf, Container) {
  GgufBuilder g = tiny_gguf();
  g.magic = "GGML";
  EXPECT_CONTAINS(error_for(g), "not a GGUF file");
  g = tiny_gguf();
  g.version = 1;
  EXPECT_CONTAINS(error_for(g), "version 1, expected 2 or 3");
  g.version = 0x03000000;
  EXPECT_CONTAINS(error_for(g), "big-endian");
  g = tiny_gguf();
  g.tensor_count = std::numeric_limits<int64_t>::max();
  EXPECT_CONTAINS(error_for(g), "more than a file of");
  g = tiny_gguf();
  g.key_count = 1'000'000'000'000;
  EXPECT_CONTAINS(error_for(g), "more than a file of");
}

TEST(HostileGguf, KeysOfTheContainer) {
  GgufBuilder g = tiny_gguf();
  g.keys.push_back(g.keys[3]);
  EXPECT_CONTAINS(error_for(g), "key " + g.keys[3].name + " occurs twice");
  g = tiny_gguf();
  g.set<uint32_t>("odd", 77, 1);
  EXPECT_CONTAINS(error_for(g), "key odd has the unknown value type 77");
  Bytes nested;
  put<uint32_t>(nested, 9);
  put<uint64_t>(nested, 1);
  g = tiny_gguf();
  g.set_raw("odd", 9, nested);
  EXPECT_CONTAINS(error_for(g), "key odd is an array of arrays");
  Bytes huge;
  put<uint32_t>(huge, 4);
  put<uint64_t>(huge, uint64_t{1} << 62);
  g.set_raw("odd", 9, huge);
  EXPECT_CONTAINS(error_for(g), "more than the file holds");
  Bytes text;
  put<uint64_t>(text, std::numeric_limits<uint64_t>::max());
  g.set_raw("odd", 8, text);
  EXPECT_CONTAINS(error_for(g), "odd");
  g = tiny_gguf();
  g.set_u32("general.alignment", 48);
  EXPECT_CONTAINS(error_for(g), "general.alignment is 48, expected a power of two");
}

TEST(HostileGguf, NamesThatWouldSteerATerminal) {
  GgufBuilder g = tiny_gguf();
  g.tensors[0].name = "a\033]0;title\007";
  EXPECT_CONTAINS(error_for(g), "control characters: \"a?]0;title?\"");
  g = tiny_gguf();
  g.set_string("general.architecture", "\033[2J");
  EXPECT_CONTAINS(error_for(g), "\"?[2J\" is none");
}

TEST(HostileGguf, TensorInfos) {
  const std::string name = "blk.0.ffn_up.weight";
  GgufBuilder g = tiny_gguf();
  g.tensors.push_back(g.tensor(name));
  EXPECT_CONTAINS(error_for(g), "tensor " + name + " occurs twice");
  g = tiny_gguf();
  g.tensor(name).extents = {1, 1, 1, 1, 24};
  EXPECT_CONTAINS(error_for(g), "tensor " + name + " has 5 dimensions");
  g = tiny_gguf();
  g.tensor(name).extents = {4, -6};
  EXPECT_CONTAINS(error_for(g), "extent -6");
  const int64_t big = int64_t{1} << 40;
  g.tensor(name).extents = {big, big};
  EXPECT_CONTAINS(error_for(g), "the size of tensor " + name + " overflows");
  g = tiny_gguf();
  g.tensor(name).extents = {4, 1'000'000};
  EXPECT_CONTAINS(error_for(g), "truncated");
  g = tiny_gguf();
  g.tensor(name).offset = 33;
  EXPECT_CONTAINS(error_for(g), "no multiple of the alignment 32");
  g.tensor(name).offset = 0;
  EXPECT_CONTAINS(error_for(g), "overlap");
  g.tensor(name).offset = int64_t{1} << 60;
  EXPECT_CONTAINS(error_for(g), "truncated");
  g = tiny_gguf();
  g.tensor(name).type = 8;  // Q8_0 in rows of 4
  EXPECT_CONTAINS(error_for(g), "no multiple of Q8_0's block of 32");
}

TEST(HostileGguf, ForeignTypes) {
  const std::string name = "blk.0.ffn_up.weight";
  GgufBuilder g = tiny_gguf();
  for (const auto& [id, text] : {std::pair<uint32_t, std::string>{16, "IQ2_XXS"},
                                 {139, "ik_llama.cpp's private IQ4_K"},
                                 {9999, "unknown id 9999"},
                                 {0x10000, "unknown id 65536"}}) {
    g.tensor(name).type = id;
    const std::string message = error_for(g);
    EXPECT_CONTAINS(message, name);
    EXPECT_CONTAINS(message, text);
  }
}

TEST(HostileGguf, TensorsThatDoNotFitTheKeys) {
  GgufBuilder g = tiny_gguf();
  g.remove_tensor("blk.1.attn_v_b.weight");
  EXPECT_CONTAINS(error_for(g), "tensor blk.1.attn_v_b.weight [4, 3] is missing");
  g = tiny_gguf();
  g.set_u32("deepseek2.feed_forward_length", 7);
  EXPECT_CONTAINS(error_for(g), "shape [6, 4], expected [7, 4]");
  g = tiny_gguf();
  g.add("blk.0.attn_q.bias", {8});
  EXPECT_CONTAINS(error_for(g), "tensor blk.0.attn_q.bias [8] has no place");
  g = tiny_gguf();
  g.tensor("blk.1.attn_norm.weight").data = floats(4, std::numeric_limits<float>::quiet_NaN());
  EXPECT_CONTAINS(error_for(g), "tensor blk.1.attn_norm.weight holds nan at 0");
  g = tiny_gguf();
  g.tensor("blk.1.exp_probs_b.bias").data = floats(4, std::numeric_limits<float>::infinity());
  EXPECT_CONTAINS(error_for(g), "exp_probs_b.bias holds inf");
}

TEST(HostileGguf, KeysOfTheModel) {
  GgufBuilder g = tiny_gguf();
  g.remove_key("deepseek2.attention.kv_lora_rank");
  EXPECT_CONTAINS(error_for(g), "the key deepseek2.attention.kv_lora_rank is missing");
  g = tiny_gguf();
  g.set_string("deepseek2.block_count", "two");
  EXPECT_CONTAINS(error_for(g), "block_count has the type string, expected a whole number");
  g.set<int64_t>("deepseek2.block_count", 11, std::numeric_limits<int64_t>::min());
  EXPECT_CONTAINS(error_for(g), "absurd");
  g.set_u32("deepseek2.block_count", 4'000'000'000);
  EXPECT_CONTAINS(error_for(g), "num_hidden_layers is 4000000000");
  g = tiny_gguf();
  g.set_f32("deepseek2.rope.freq_base", std::numeric_limits<float>::quiet_NaN());
  EXPECT_CONTAINS(error_for(g), "freq_base is nan");
  g = tiny_gguf();
  g.set_i32s("deepseek2.feed_forward_length", {6, 8});
  EXPECT_CONTAINS(error_for(g), "differs between layers (6 and 8)");
  g.set_i32s("deepseek2.feed_forward_length", {6, 6});
  EXPECT_NO_THROW(load(g.build()));
  g = tiny_gguf();
  g.set_u32("deepseek2.attention.key_length", 2);
  EXPECT_CONTAINS(error_for(g), "is not more than rope.dimension_count 2");
  g = tiny_gguf();
  g.set_u32("deepseek2.expert_gating_func", 4);
  EXPECT_CONTAINS(error_for(g), "expert_gating_func is 4");
  g = tiny_gguf();
  g.set_string("deepseek2.rope.scaling.type", "longrope");
  EXPECT_CONTAINS(error_for(g), "longrope");
}

TEST(HostileGguf, OtherArchitectures) {
  GgufBuilder g = tiny_gguf();
  g.set_string("general.architecture", "deepseek32");
  EXPECT_CONTAINS(error_for(g), "DeepSeek-V3.2");
  g.set_string("general.architecture", "deepseek4");
  EXPECT_CONTAINS(error_for(g), "DeepSeek-V4");
  g.set_string("general.architecture", "mamba");
  EXPECT_CONTAINS(error_for(g), "\"mamba\" is none that Hadal runs");
  g.remove_key("general.architecture");
  EXPECT_CONTAINS(error_for(g), "general.architecture is missing");
}

TEST(HostileGguf, Tokenizer) {
  GgufBuilder g = tiny_gguf();
  g.set_strings("tokenizer.ggml.tokens", {"1", "2", "3", "4", "5", "6", "7"});
  EXPECT_CONTAINS(error_for(g), "7 tokens, but the embedding only 6 rows");
  g = tiny_gguf();
  g.set_i32s("tokenizer.ggml.token_type", {1});
  EXPECT_CONTAINS(error_for(g), "token_type has 1");
  g = tiny_gguf();
  g.set_u32("tokenizer.ggml.eos_token_id", 6);
  EXPECT_CONTAINS(error_for(g), "eos_token_id is 6");
  g = tiny_gguf();
  g.set_u32("deepseek2.vocab_size", 7);
  EXPECT_CONTAINS(error_for(g), "vocab_size is 7, but token_embd.weight has 6 rows");
}

TEST(HostileGguf, GroupsAreAssumedForThePublishedShapeOnly) {
  GgufBuilder g = tiny_gguf();
  EXPECT_EQ(load(g.build()).model->config.expert_groups, 1);
  g.set_u32("deepseek2.expert_group_count", 2);
  g.set_u32("deepseek2.expert_group_used_count", 1);
  const Bytes bytes = g.build();
  EXPECT_EQ(load(bytes).model->config.expert_groups, 2);
}

TEST(HostileGguf, LayersThatPredictFurtherTokens) {
  GgufBuilder g = tiny_gguf();
  g.set_u32("deepseek2.nextn_predict_layers", 1);
  g.set_u32("deepseek2.block_count", 3);
  const Bytes counted = g.build();
  const LoadedFiles without = load(counted);
  EXPECT_EQ(without.model->config.layers, 2);
  EXPECT_CONTAINS(without.notes.at(0), "the file holds none");
  // The mixture's layer again, as layer 2, with what makes it an MTP layer.
  for (const auto& tensor : std::vector(g.tensors))
    if (tensor.name.starts_with("blk.1.")) {
      g.tensors.push_back(tensor);
      g.tensors.back().name[4] = '2';
    }
  for (const char* norm : {"enorm", "hnorm", "shared_head_norm"})
    g.add(std::string("blk.2.nextn.") + norm + ".weight", {4});
  g.add("blk.2.nextn.eh_proj.weight", {8, 4});
  g.add("blk.2.nextn.shared_head_head.weight", {4, 6});
  for (const uint32_t count : {3, 2}) {  // counted in block_count, or not
    g.set_u32("deepseek2.block_count", count);
    const Bytes bytes = g.build();
    const LoadedFiles files = load(bytes);
    EXPECT_EQ(files.model->config.layers, 2);
    ASSERT_EQ(files.model->mtp.size(), 1u);
    EXPECT_EQ(files.model->mtp[0].eh_proj.cols, 8);
    EXPECT_TRUE(files.notes.empty());
  }
}

TEST(HostileGguf, EveryPrefixIsRefused) {
  const Bytes whole = tiny_gguf().build();
  for (size_t length = 0; length < whole.size(); ++length) {
    const Bytes prefix(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    // What follows the last tensor is padding.
    if (whole.size() - length < 32) continue;
    EXPECT_THROW(load(prefix), Error) << length;
  }
}

TEST(HostileGguf, FlippedBytesNeverCrash) {
  const Bytes whole = tiny_gguf().build();
  std::mt19937 random(1);
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes = whole;
    for (unsigned i = 0; i <= random() % 4; ++i)
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    try {
      load(bytes);
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 5000);
}

}  // namespace
}  // namespace hadal::format
