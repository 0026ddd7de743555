// Small model files made in memory, so that a test can break one thing at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace hadal::testing {

using Bytes = std::vector<std::byte>;

inline void put_raw(Bytes& out, const void* data, size_t size) {
  const size_t begin = out.size();
  out.resize(begin + size);
  if (size > 0) std::memcpy(out.data() + begin, data, size);
}

template <typename T>
void put(Bytes& out, T value) {
  put_raw(out, &value, sizeof value);
}

inline void put_text(Bytes& out, std::string_view text) {
  put_raw(out, text.data(), text.size());
}

inline void put_string(Bytes& out, std::string_view text) {
  put<uint64_t>(out, text.size());
  put_text(out, text);
}

// F32 values that are all the same, or one of them another.
inline Bytes floats(int64_t n, float value = 0.5F) {
  Bytes bytes;
  for (int64_t i = 0; i < n; ++i) put(bytes, value);
  return bytes;
}

// A GGUF file from its parts; every number of the container can be set to something wrong.
struct GgufBuilder {
  struct Key {
    std::string name;
    uint32_t type;
    Bytes value;
  };
  struct Tensor {
    std::string name;
    std::vector<int64_t> extents;  // innermost first, as the file has them
    uint32_t type = 0;
    Bytes data;
    int64_t offset = -1;  // -1: where it belongs
  };

  std::string magic = "GGUF";
  uint32_t version = 3;
  uint64_t alignment = 32;
  int64_t tensor_count = -1, key_count = -1;  // -1: the true ones
  std::vector<Key> keys;
  std::vector<Tensor> tensors;

  template <typename T>
  void set(const std::string& name, uint32_t type, T value) {
    Bytes bytes;
    put(bytes, value);
    set_raw(name, type, bytes);
  }
  void set_u32(const std::string& name, uint32_t value) { set(name, 4, value); }
  void set_f32(const std::string& name, float value) { set(name, 6, value); }
  void set_bool(const std::string& name, bool value) { set<uint8_t>(name, 7, value ? 1 : 0); }
  void set_string(const std::string& name, std::string_view text) {
    Bytes bytes;
    put_string(bytes, text);
    set_raw(name, 8, bytes);
  }
  void set_strings(const std::string& name, const std::vector<std::string>& texts) {
    Bytes bytes;
    put<uint32_t>(bytes, 8);
    put<uint64_t>(bytes, texts.size());
    for (const std::string& text : texts) put_string(bytes, text);
    set_raw(name, 9, bytes);
  }
  void set_i32s(const std::string& name, const std::vector<int32_t>& values) {
    Bytes bytes;
    put<uint32_t>(bytes, 5);
    put<uint64_t>(bytes, values.size());
    for (const int32_t value : values) put(bytes, value);
    set_raw(name, 9, bytes);
  }
  void set_raw(const std::string& name, uint32_t type, const Bytes& value) {
    for (Key& key : keys)
      if (key.name == name) {
        key = {name, type, value};
        return;
      }
    keys.push_back({name, type, value});
  }
  void remove_key(const std::string& name) {
    std::erase_if(keys, [&](const Key& key) { return key.name == name; });
  }
  void remove_tensor(const std::string& name) {
    std::erase_if(tensors, [&](const Tensor& tensor) { return tensor.name == name; });
  }
  Tensor& tensor(const std::string& name) {
    for (Tensor& tensor : tensors)
      if (tensor.name == name) return tensor;
    throw std::runtime_error("no tensor " + name);
  }
  void add(const std::string& name, std::vector<int64_t> extents) {
    int64_t n = 1;
    for (const int64_t extent : extents) n *= extent;
    tensors.push_back({name, std::move(extents), 0, floats(n), -1});
  }

  Bytes build() const {
    Bytes out;
    put_text(out, magic);
    put(out, version);
    put<int64_t>(out, tensor_count >= 0 ? tensor_count : static_cast<int64_t>(tensors.size()));
    put<int64_t>(out, key_count >= 0 ? key_count : static_cast<int64_t>(keys.size()));
    for (const Key& key : keys) {
      put_string(out, key.name);
      put(out, key.type);
      out.insert(out.end(), key.value.begin(), key.value.end());
    }
    Bytes data;
    for (const Tensor& tensor : tensors) {
      put_string(out, tensor.name);
      put(out, static_cast<uint32_t>(tensor.extents.size()));
      for (const int64_t extent : tensor.extents) put(out, extent);
      put(out, tensor.type);
      put<uint64_t>(out, tensor.offset >= 0 ? static_cast<uint64_t>(tensor.offset) : data.size());
      data.insert(data.end(), tensor.data.begin(), tensor.data.end());
      data.resize((data.size() + alignment - 1) / alignment * alignment);
    }
    out.resize((out.size() + alignment - 1) / alignment * alignment);
    out.insert(out.end(), data.begin(), data.end());
    return out;
  }
};

// A whole deepseek2 model of two layers, one of them a mixture, in about 4 KB.
inline GgufBuilder tiny_gguf() {
  GgufBuilder g;
  g.set_string("general.architecture", "deepseek2");
  for (const auto& [key, value] :
       std::initializer_list<std::pair<const char*, uint32_t>>{{"block_count", 2},
                                                               {"context_length", 64},
                                                               {"embedding_length", 4},
                                                               {"feed_forward_length", 6},
                                                               {"attention.head_count", 2},
                                                               {"attention.kv_lora_rank", 3},
                                                               {"attention.key_length", 4},
                                                               {"attention.value_length", 2},
                                                               {"rope.dimension_count", 2},
                                                               {"expert_count", 4},
                                                               {"expert_used_count", 2},
                                                               {"expert_shared_count", 1},
                                                               {"expert_feed_forward_length", 2},
                                                               {"leading_dense_block_count", 1},
                                                               {"expert_gating_func", 2}})
    g.set_u32(std::string("deepseek2.") + key, value);
  g.set_f32("deepseek2.attention.layer_norm_rms_epsilon", 1e-6F);
  g.set_bool("deepseek2.expert_weights_norm", true);
  g.set_string("tokenizer.ggml.model", "gpt2");
  g.set_string("tokenizer.ggml.pre", "qwen2");
  g.set_strings("tokenizer.ggml.tokens", {"<b>", "<e>", "a", "b", "ab"});
  g.set_i32s("tokenizer.ggml.token_type", {3, 3, 1, 1, 1});
  g.set_strings("tokenizer.ggml.merges", {"a b"});
  g.set_u32("tokenizer.ggml.bos_token_id", 0);
  g.set_u32("tokenizer.ggml.eos_token_id", 1);
  g.add("token_embd.weight", {4, 6});
  g.add("output_norm.weight", {4});
  g.add("output.weight", {4, 6});
  for (const std::string layer : {"blk.0.", "blk.1."}) {
    g.add(layer + "attn_norm.weight", {4});
    g.add(layer + "ffn_norm.weight", {4});
    g.add(layer + "attn_q.weight", {4, 8});
    g.add(layer + "attn_kv_a_mqa.weight", {4, 5});
    g.add(layer + "attn_kv_a_norm.weight", {3});
    g.add(layer + "attn_output.weight", {4, 4});
  }
  g.add("blk.0.attn_kv_b.weight", {3, 8});
  g.add("blk.1.attn_k_b.weight", {2, 3, 2});
  g.add("blk.1.attn_v_b.weight", {3, 2, 2});
  g.add("blk.0.ffn_gate.weight", {4, 6});
  g.add("blk.0.ffn_up.weight", {4, 6});
  g.add("blk.0.ffn_down.weight", {6, 4});
  g.add("blk.1.ffn_gate_inp.weight", {4, 4});
  g.add("blk.1.exp_probs_b.bias", {4});
  for (const auto& [suffix, experts] : {std::pair<std::string, int64_t>{"_exps", 4}, {"_shexp", 0}})
    for (const auto& [part, in, rows] :
         {std::tuple<const char*, int64_t, int64_t>{"gate", 4, 2}, {"up", 4, 2}, {"down", 2, 4}}) {
      std::vector<int64_t> extents = {in, rows};
      if (experts > 0) extents.push_back(experts);
      g.add("blk.1.ffn_" + std::string(part) + suffix + ".weight", extents);
    }
  return g;
}

// A safetensors file from its header and data.
inline Bytes safetensors(const std::string& header, const Bytes& data) {
  Bytes out;
  put<uint64_t>(out, header.size());
  put_text(out, header);
  out.insert(out.end(), data.begin(), data.end());
  return out;
}

struct SafetensorsBuilder {
  nlohmann::json header = nlohmann::json::object();
  Bytes data;

  void add(const std::string& name, const std::string& dtype, const std::vector<int64_t>& shape,
           const Bytes& bytes) {
    header[name] = {{"dtype", dtype},
                    {"shape", shape},
                    {"data_offsets", {data.size(), data.size() + bytes.size()}}};
    data.insert(data.end(), bytes.begin(), bytes.end());
  }
  void add(const std::string& name, const std::vector<int64_t>& shape) {
    int64_t n = 1;
    for (const int64_t extent : shape) n *= extent;
    add(name, "F32", shape, floats(n));
  }
  Bytes build() const {
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    return safetensors(text, data);
  }
};

// The configuration and the tensors of a model of one V3 layer with FP8 in its feed-forward.
inline nlohmann::json tiny_config() {
  return {{"model_type", "deepseek_v3"},
          {"vocab_size", 6},
          {"hidden_size", 4},
          {"num_hidden_layers", 1},
          {"num_attention_heads", 2},
          {"max_position_embeddings", 64},
          {"rms_norm_eps", 1e-6},
          {"kv_lora_rank", 3},
          {"qk_nope_head_dim", 2},
          {"qk_rope_head_dim", 2},
          {"v_head_dim", 2},
          {"intermediate_size", 6},
          {"moe_intermediate_size", 2},
          {"n_routed_experts", 2},
          {"n_shared_experts", 1},
          {"num_experts_per_tok", 1},
          {"first_k_dense_replace", 0},
          {"eos_token_id", 1},
          {"quantization_config",
           {{"quant_method", "fp8"}, {"fmt", "e4m3"}, {"weight_block_size", {128, 128}}}}};
}

inline SafetensorsBuilder tiny_safetensors() {
  SafetensorsBuilder s;
  s.add("model.embed_tokens.weight", {6, 4});
  s.add("model.norm.weight", {4});
  s.add("lm_head.weight", {6, 4});
  const std::string layer = "model.layers.0.";
  s.add(layer + "input_layernorm.weight", {4});
  s.add(layer + "post_attention_layernorm.weight", {4});
  s.add(layer + "self_attn.q_proj.weight", {8, 4});
  s.add(layer + "self_attn.kv_a_proj_with_mqa.weight", {5, 4});
  s.add(layer + "self_attn.kv_a_layernorm.weight", {3});
  s.add(layer + "self_attn.kv_b_proj.weight", {8, 3});
  s.add(layer + "self_attn.o_proj.weight", {4, 4});
  s.add(layer + "mlp.gate.weight", {2, 4});
  s.add(layer + "mlp.gate.e_score_correction_bias", {2});
  for (const char* mlp : {"experts.0.", "experts.1.", "shared_experts."})
    for (const auto& [part, rows, cols] :
         {std::tuple<const char*, int64_t, int64_t>{"gate_proj", 2, 4},
          {"up_proj", 2, 4},
          {"down_proj", 4, 2}}) {
      const std::string name = layer + "mlp." + mlp + part + ".weight";
      s.add(name, "F8_E4M3", {rows, cols}, Bytes(static_cast<size_t>(rows * cols), std::byte{56}));
      s.add(name + "_scale_inv", {1, 1});
    }
  return s;
}

}  // namespace hadal::testing
