// What a model's files hold, for `hadal show`: also of models that Hadal cannot run.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/config.h"

namespace hadal::format {

enum class Part {
  embedding,
  attention,
  dense_ffn,
  router,
  routed_experts,
  shared_experts,
  norms,
  head,
  mtp,
  other
};
inline constexpr int part_count = static_cast<int>(Part::other) + 1;
std::string_view part_name(Part part);

struct TensorDescription {
  std::string name;
  std::string type;            // "Q4_K", "BF16", or what others call a foreign type
  std::vector<int64_t> shape;  // outermost first
  int64_t bytes = 0;           // 0 if the type is foreign
  Part part = Part::other;
};

struct Amount {
  int64_t tensors = 0, elements = 0, bytes = 0;
};

struct Description {
  std::string path, name;
  std::string container;     // "GGUF 3", "GGUF 3 in 3 files", "Hugging Face folder"
  std::string architecture;  // as the files say it
  // Nothing if Hadal cannot run the model; then `problem` says why.
  std::optional<model::ModelConfig> config;
  std::string problem;
  model::ParameterCount parameters;   // by the config; 0 without
  int64_t cache_bytes_per_token = 0;  // BF16
  std::vector<TensorDescription> tensors;
  Amount total;
  Amount parts[part_count];
  std::map<std::string, Amount> types;
  std::vector<std::pair<std::string, std::string>> metadata;  // GGUF keys, long values cut
  std::vector<std::string> notes;
};

// Throws Error(file | format) if the files cannot be read at all.
Description describe(const std::string& path);

// Where a tensor belongs, by its name in either kind of file. layers: those of the main model;
// layers from there on are MTP.
Part part_of(std::string_view tensor, int64_t layers);

}  // namespace hadal::format
