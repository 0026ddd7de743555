// Broken and hostile Hugging Face folders, safetensors files and configurations.
#include <limits>
#include <random>

#include "builders.h"
#include "files.h"
#include "format/config_read.h"
#include "format/json_guard.h"
#include "format/load.h"
#include "format/safetensors_read.h"

namespace hadal::format {
namespace {

using hadal::testing::Bytes;
using hadal::testing::error_of;
using hadal::testing::floats;
using hadal::testing::put;
using hadal::testing::safetensors;
using hadal::testing::SafetensorsBuilder;
using hadal::testing::ScratchFolder;
using hadal::testing::tiny_config;
using hadal::testing::tiny_safetensors;
using nlohmann::json;

std::string parse_error(const Bytes& bytes) {
  const std::string message = error_of([&] { parse_safetensors(bytes, "x.safetensors"); });
  EXPECT_CONTAINS(message, "x.safetensors");
  return message;
}

std::string header_error(const std::string& header) {
  return parse_error(safetensors(header, floats(4)));
}

std::string config_error(const json& config) {
  const std::string message = error_of([&] { read_hf_config(config, "config.json"); });
  return message;
}

std::string folder_error(const json& config, const Bytes& tensors) {
  const ScratchFolder scratch;
  scratch.write("config.json", config.dump());
  scratch.write("model.safetensors", tensors);
  return error_of([&] { load_model(scratch.path().string()); });
}

TEST(HostileSafetensors, TheUnbrokenFolderLoads) {
  const ScratchFolder scratch;
  scratch.write("config.json", tiny_config().dump());
  scratch.write("model.safetensors", tiny_safetensors().build());
  const LoadedFiles files = load_model(scratch.path().string());
  EXPECT_EQ(files.model->layers[0].experts.routed[1].down.scales[0], 0.5F);
}

TEST(HostileSafetensors, Header) {
  EXPECT_CONTAINS(parse_error({}), "truncated");
  Bytes huge;
  put<uint64_t>(huge, std::numeric_limits<uint64_t>::max());
  EXPECT_CONTAINS(parse_error(huge), "header should have");
  EXPECT_CONTAINS(header_error("[1]"), "no JSON object");
  EXPECT_CONTAINS(header_error("{\"a\":"), "not valid JSON");
  EXPECT_CONTAINS(header_error("{\"a\": 3}"), "a is not a JSON object");
  EXPECT_CONTAINS(header_error(std::string(100, '[')), "deeper than 64");
  const std::string entry = R"("a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]})";
  EXPECT_CONTAINS(header_error("{" + entry + "," + entry + "}"), "\"a\" occurs twice");
}

TEST(HostileSafetensors, Entries) {
  const auto entry = [](const char* dtype, const char* shape, const char* offsets) {
    return fmt::format(R"({{"t":{{"dtype":"{}","shape":{},"data_offsets":{}}}}})", dtype, shape,
                       offsets);
  };
  EXPECT_CONTAINS(header_error(entry("F31", "[4]", "[0,16]")), "unknown dtype \"F31\"");
  EXPECT_CONTAINS(header_error(entry("F32", "[4]", "[0,32]")), "truncated");
  EXPECT_CONTAINS(header_error(entry("F32", "[4]", "[8,4]")), "no valid data_offsets");
  EXPECT_CONTAINS(header_error(entry("F32", "[4]", "[-8,8]")), "no valid data_offsets");
  EXPECT_CONTAINS(header_error(entry("F32", "[4]", "\"x\"")), "whole number");
  EXPECT_CONTAINS(header_error(entry("F32", "[3]", "[0,16]")), "has 16 bytes, expected 12");
  EXPECT_CONTAINS(header_error(entry("F32", "[-4]", "[0,16]")), "negative extent -4");
  EXPECT_CONTAINS(header_error(entry("F32", "4", "[0,16]")), "no shape");
  EXPECT_CONTAINS(header_error(entry("F32", "[4294967296,4294967296]", "[0,16]")), "overflows");
  EXPECT_CONTAINS(header_error(entry("F32", "[1e300]", "[0,16]")), "whole number");
  EXPECT_CONTAINS(header_error(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},)"
                               R"("b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})"),
                  "overlap");
}

TEST(HostileSafetensors, TensorsThatDoNotFitTheConfig) {
  const json config = tiny_config();
  SafetensorsBuilder s = tiny_safetensors();
  s.header.erase("model.layers.0.mlp.experts.1.up_proj.weight");
  EXPECT_CONTAINS(folder_error(config, s.build()), "experts.1.up_proj.weight [2, 4] is missing");
  s = tiny_safetensors();
  s.header.erase("model.layers.0.mlp.experts.1.up_proj.weight_scale_inv");
  EXPECT_CONTAINS(folder_error(config, s.build()), "weight_scale_inv [1, 1] is missing");
  s = tiny_safetensors();
  s.add("model.layers.0.self_attn.q_proj.bias", {8});
  EXPECT_CONTAINS(folder_error(config, s.build()), "q_proj.bias [8] has no place");
  s = tiny_safetensors();
  s.add("model.layers.0.self_attn.indexer.wk.weight", {2, 4});
  EXPECT_CONTAINS(folder_error(config, s.build()), "DeepSeek-V3.2's lightning indexer");
  s = tiny_safetensors();
  s.add("model.layers.0.mlp.experts.0.up_proj.weight_scale_inv", "F32", {1, 1},
        floats(1, std::numeric_limits<float>::quiet_NaN()));
  EXPECT_CONTAINS(folder_error(config, s.build()), "weight_scale_inv holds nan");
  s = tiny_safetensors();
  s.add("model.norm.weight", "I64", {4}, Bytes(32));
  EXPECT_CONTAINS(folder_error(config, s.build()), "type I64, which Hadal cannot read");
  json wide = config;
  wide["hidden_size"] = 5;
  EXPECT_CONTAINS(folder_error(wide, tiny_safetensors().build()), "shape [6, 4], expected [6, 5]");
}

TEST(HostileSafetensors, MisalignedTensorsAreCopied) {
  const ScratchFolder scratch;
  SafetensorsBuilder s = tiny_safetensors();
  std::string header = s.header.dump();
  while (header.size() % 4 != 1) header += ' ';
  scratch.write("config.json", tiny_config().dump());
  scratch.write("model.safetensors", safetensors(header, s.data));
  const LoadedFiles files = load_model(scratch.path().string());
  const auto* embedding = static_cast<const float*>(files.model->embedding.data);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(embedding) % alignof(float), 0u);
  EXPECT_EQ(embedding[5], 0.5F);
  EXPECT_EQ(files.model->layers[0].experts.shared.gate.scales[0], 0.5F);
}

TEST(HostileSafetensors, Index) {
  const ScratchFolder scratch;
  scratch.write("config.json", tiny_config().dump());
  scratch.write("model-1.safetensors", tiny_safetensors().build());
  const auto error_with = [&](const std::string& index) {
    scratch.write("model.safetensors.index.json", index);
    return error_of([&] { load_model(scratch.path().string()); });
  };
  EXPECT_CONTAINS(error_with("{}"), "weight_map is missing");
  EXPECT_CONTAINS(error_with(R"({"weight_map":{"a":"../a.safetensors"}})"), "in the same folder");
  EXPECT_CONTAINS(error_with(R"({"weight_map":{"a":"/etc/a.safetensors"}})"), "in the same folder");
  EXPECT_CONTAINS(error_with(R"({"weight_map":{"a":"passwd"}})"), ".safetensors file");
  EXPECT_CONTAINS(error_with(R"({"weight_map":{"a":7}})"), "weight_map.a is 7");
  EXPECT_CONTAINS(error_with(R"({"weight_map":{"a":"model-2.safetensors"}})"),
                  "model-2.safetensors");
  EXPECT_CONTAINS(error_with(R"({"weight_map":{"a":"model-1.safetensors"}})"),
                  "tensor a is missing");
  json index;
  const SafetensorsBuilder tiny = tiny_safetensors();
  for (const auto& [name, entry] : tiny.header.items())
    index["weight_map"][name] = "model-1.safetensors";
  scratch.write("model.safetensors.index.json", index.dump());
  EXPECT_EQ(load_model(scratch.path().string()).model->layers.size(), 1u);
}

TEST(HostileSafetensors, EveryPrefixIsRefused) {
  const Bytes whole = tiny_safetensors().build();
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_THROW(parse_safetensors(std::span(whole).first(length), "x"), Error) << length;
}

TEST(HostileSafetensors, FlippedBytesNeverCrash) {
  const Bytes whole = tiny_safetensors().build();
  std::mt19937 random(2);
  int refused = 0;
  for (int round = 0; round < 5000; ++round) {
    Bytes bytes = whole;
    for (unsigned i = 0; i <= random() % 4; ++i)
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    try {
      parse_safetensors(bytes, "x");
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(HostileConfig, ValuesOfWrongTypesAndSizes) {
  const auto with = [](const char* key, const json& value) {
    json config = tiny_config();
    config[key] = value;
    return config_error(config);
  };
  EXPECT_CONTAINS(with("hidden_size", "big"), "hidden_size is \"big\", expected a whole number");
  EXPECT_CONTAINS(with("hidden_size", 4.5), "hidden_size is 4.5, expected a whole number");
  EXPECT_CONTAINS(with("hidden_size", -4), "hidden_size is -4");
  EXPECT_CONTAINS(with("num_hidden_layers", 1e15), "num_hidden_layers");
  EXPECT_CONTAINS(with("num_attention_heads", 0), "num_attention_heads is 0");
  EXPECT_CONTAINS(with("hidden_size", nullptr), "hidden_size is missing");
  EXPECT_CONTAINS(with("n_group", 3), "config.json: config: n_group is 3, expected 1 to 2");
  EXPECT_CONTAINS(with("rope_scaling", 7), "rope_scaling is 7, expected an object");
  EXPECT_CONTAINS(with("rope_scaling", {{"type", "yarn"}}), "rope_scaling.factor is missing");
  EXPECT_CONTAINS(with("rope_scaling", {{"type", "yarn"}, {"factor", 1e-300}}),
                  "rope_scaling.factor is 1e-300");
  EXPECT_CONTAINS(with("rope_scaling", {{"type", "dynamic"}}), "\"dynamic\"");
  EXPECT_CONTAINS(with("scoring_func", "tanh"), "\"tanh\"");
  EXPECT_CONTAINS(with("hidden_act", "gelu"), "hidden_act");
  EXPECT_CONTAINS(with("eos_token_id", {1, 600}), "eos_token_id 600 is none of the 6 tokens");
  EXPECT_CONTAINS(with("bos_token_id", -7), "bos_token_id -7");
  EXPECT_CONTAINS(with("quantization_config", {{"quant_method", "gptq"}}), "\"gptq\"");
  EXPECT_CONTAINS(with("model_type", "mamba"), "\"mamba\" is none that Hadal runs");
  EXPECT_CONTAINS(config_error(json::array()), "not a JSON object");
}

TEST(HostileConfig, JsonItself) {
  EXPECT_CONTAINS(error_of([] { parse_json("{\"a\":1,\"a\":2}", "c.json"); }), "occurs twice");
  EXPECT_CONTAINS(error_of([] { parse_json(std::string(70, '{'), "c.json"); }), "deeper than 64");
  EXPECT_CONTAINS(error_of([] { parse_json("nope", "c.json"); }), "not valid JSON");
  EXPECT_CONTAINS(error_of([] { parse_json("[1,2,3]", "c.json", 4); }), "expected at most 4");
  EXPECT_NO_THROW(parse_json(R"({"a":"[[[[\"{{{"})", "c.json"));
}

TEST(HostileConfig, FlippedBytesNeverCrash) {
  const std::string whole = tiny_config().dump();
  std::mt19937 random(3);
  int refused = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string text = whole;
    for (unsigned i = 0; i <= random() % 3; ++i)
      text[random() % text.size()] = static_cast<char>(' ' + random() % 95);
    try {
      read_hf_config(parse_json(text, "config.json"), "config.json");
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(HostileConfig, NewerSpellings) {
  json config = tiny_config();
  config["rope_parameters"] = {{"rope_type", "yarn"},  {"rope_theta", 50000.0},
                               {"factor", 32.0},       {"original_max_position_embeddings", 4096},
                               {"beta_fast", 1.0},     {"mscale", 1.0},
                               {"mscale_all_dim", 1.0}};
  config["model_type"] = "kimi_k2";
  config["eos_token_id"] = {1, 2};
  const model::ModelConfig c = read_hf_config(config, "config.json").model;
  EXPECT_EQ(c.rope.theta, 50000.0);
  EXPECT_EQ(c.rope.scaling, model::RopeScaling::yarn);
  EXPECT_NEAR(c.attention_scale, 1.8132604 / 2.0, 1e-6);  // head of 4
  EXPECT_EQ(c.eos_ids, (std::vector<int32_t>{1, 2}));
}

}  // namespace
}  // namespace hadal::format
