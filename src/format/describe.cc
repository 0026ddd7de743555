#include "format/describe.h"

#include <charconv>
#include <filesystem>
#include <limits>

#include "base/error.h"
#include "format/gguf_shards.h"
#include "format/json_guard.h"
#include "format/load_parts.h"
#include "format/printable.h"

namespace hadal::format {
namespace {

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// The number after "model.layers." or "blk.", or -1.
int64_t layer_of(std::string_view tensor) {
  for (const std::string_view prefix : {"model.layers.", "layers.", "blk."})
    if (tensor.starts_with(prefix)) {
      int64_t layer = -1;
      std::from_chars(tensor.data() + prefix.size(), tensor.data() + tensor.size(), layer);
      return layer;
    }
  return -1;
}

void add_tensors(const TensorTable& table, int64_t layers, Description& d) {
  for (const Tensor& tensor : table.tensors()) {
    TensorDescription t;
    t.name = tensor.name;
    t.type = tensor.type_name.empty() ? fmt::format("type {}", tensor.type_id)
                                      : std::string(tensor.type_name);
    t.shape.assign(tensor.shape.begin(), tensor.shape.begin() + tensor.rank);
    t.bytes = static_cast<int64_t>(tensor.data.size());
    t.part = part_of(t.name, layers);
    // Sizes of foreign types are unchecked: a product may be absurd, so it is left out.
    const int64_t elements = t.bytes > 0 ? tensor.elements() : 0;
    for (Amount* amount : {&d.total, &d.parts[static_cast<int>(t.part)], &d.types[t.type]}) {
      ++amount->tensors;
      amount->elements += elements;
      amount->bytes += t.bytes;
    }
    d.tensors.push_back(std::move(t));
  }
}

void add_config(Description& d) {
  try {
    const LoadedFiles files = load_model(d.path);
    d.config = files.model->config;
    d.notes = files.notes;
    d.name = d.config->name;
    d.architecture = d.config->source;
    d.parameters = model::count_parameters(*d.config);
    d.cache_bytes_per_token = d.config->layers * d.config->cache_width() * 2;
  } catch (const Error& error) {
    d.problem = error.what();
  }
}

void describe_gguf(Description& d) {
  const GgufShards shards(d.path);
  const Gguf& first = *shards.parts()[0];
  const size_t files = shards.parts().size();
  d.container = files == 1 ? fmt::format("GGUF {}", first.version())
                           : fmt::format("GGUF {} in {} files", first.version(), files);
  d.name = std::filesystem::path(d.path).stem().string();
  d.architecture = printable(first.string_or("general.architecture", ""));
  add_config(d);
  for (const GgufKey& key : first.keys()) d.metadata.emplace_back(key.name, gguf_value_text(key));
  TensorTable table(d.path);
  for (const Gguf* part : shards.parts())
    for (const GgufTensor& tensor : part->tensors()) table.add(as_tensor(*part, tensor));
  add_tensors(table, d.config ? d.config->layers : std::numeric_limits<int64_t>::max(), d);
}

void describe_folder(Description& d) {
  d.container = "Hugging Face folder";
  const std::string config_path = (std::filesystem::path(d.path) / "config.json").string();
  const nlohmann::json json = read_json(config_path);
  d.architecture = printable(JsonObject(json, config_path).string_or("model_type", ""));
  d.name = d.path;
  add_config(d);
  TensorTable table(d.path);
  const auto files = map_folder(d.path, table);
  add_tensors(table, d.config ? d.config->layers : std::numeric_limits<int64_t>::max(), d);
}

}  // namespace

std::string_view part_name(Part part) {
  constexpr std::string_view names[] = {"embedding", "attention",      "dense feed-forward",
                                        "router",    "routed experts", "shared experts",
                                        "norms",     "head",           "MTP",
                                        "other"};
  return names[static_cast<int>(part)];
}

Part part_of(std::string_view tensor, int64_t layers) {
  if (contains(tensor, "nextn") || tensor.starts_with("mtp.") || layer_of(tensor) >= layers)
    return Part::mtp;
  if (contains(tensor, "indexer")) return Part::other;
  if (contains(tensor, "embed_tokens") || contains(tensor, "token_embd")) return Part::embedding;
  if (contains(tensor, "norm")) return Part::norms;
  if (tensor.starts_with("lm_head") || tensor.starts_with("output.")) return Part::head;
  if (contains(tensor, "shared_experts") || contains(tensor, "_shexp")) return Part::shared_experts;
  if (contains(tensor, ".experts.") || contains(tensor, "_exps")) return Part::routed_experts;
  if (contains(tensor, "mlp.gate.") || contains(tensor, "ffn_gate_inp") ||
      contains(tensor, "exp_probs"))
    return Part::router;
  if (contains(tensor, "attn")) return Part::attention;
  if (contains(tensor, ".mlp.") || contains(tensor, "ffn_")) return Part::dense_ffn;
  return Part::other;
}

Description describe(const std::string& path) {
  Description d;
  d.path = path;
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    describe_folder(d);
  else
    describe_gguf(d);
  return d;
}

}  // namespace hadal::format
