// hadal show: what a model is and what its files hold.
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "format/describe.h"
#include "infer/loaded_model.h"
#include "infer/model_store.h"

namespace hadal::cli {
namespace {

using format::Amount;
using format::Description;
using Json = nlohmann::ordered_json;

struct Options {
  std::string model;
  bool tensors = false;
  bool keys = false;
};

// Text and dialogue, as the engine would use them.
struct TextSide {
  int32_t tokens = 0;
  std::string pre;     // pre-tokenizer
  std::string prompt;  // generation, "" if none is recognised
  bool present = false;
};

TextSide text_side(const Description& d) {
  TextSide text;
  if (!d.config) return text;
  try {
    const infer::LoadedModel loaded = infer::open_model(d.path);
    if (loaded.tokenizer) {
      text.present = true;
      text.tokens = loaded.tokenizer->size();
      text.pre = loaded.tokenizer->pre();
    }
    if (loaded.style) text.prompt = tokenizer::generation_name(loaded.style->generation);
  } catch (const Error& error) {
    fmt::print(stderr, "note: the tokenizer cannot be used: {}\n", error.what());
  }
  return text;
}

void line(std::string_view label, const std::string& value) {
  fmt::print("  {:<16}{}\n", label, value);
}

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::string layers_text(const model::ModelConfig& c) {
  std::string text = fmt::format("{}", c.layers);
  if (c.experts > 0)
    text += fmt::format(": {} dense, {} with {} experts ({} per token, {} shared)",
                        c.first_dense_layers, c.layers - c.first_dense_layers, c.experts,
                        c.experts_per_token, c.shared_experts);
  if (c.mtp_layers > 0) text += fmt::format(", and {} for multi-token prediction", c.mtp_layers);
  return text;
}

std::string attention_text(const model::ModelConfig& c) {
  if (!c.is_mla())
    return fmt::format("{} heads of {} on {} of keys and values", c.heads, c.head_dim, c.kv_heads);
  return fmt::format("latent (MLA): {} heads of {} + {} rotated, values of {}, latent {}{}",
                     c.heads, c.qk_nope_dim, c.qk_rope_dim, c.v_dim, c.kv_lora_rank,
                     c.q_lora_rank > 0 ? fmt::format(", queries through {}", c.q_lora_rank) : "");
}

std::string router_text(const model::ModelConfig& c) {
  std::string text = c.scoring == model::Scoring::sigmoid ? "sigmoid" : "softmax";
  if (c.expert_groups > 1)
    text += fmt::format(", {} of {} groups", c.expert_groups_used, c.expert_groups);
  if (c.normalize_expert_weights) text += ", weights normalised";
  if (c.expert_weights_scale != 1.0) text += fmt::format(", scale {}", c.expert_weights_scale);
  return text;
}

void print_config(const Description& d, const model::ModelConfig& c, const TextSide& text) {
  line("parameters", fmt::format("{} ({} at work on a token)",
                                 format_count(static_cast<double>(d.parameters.total)),
                                 format_count(static_cast<double>(d.parameters.active))));
  line("layers", layers_text(c));
  line("width",
       fmt::format("{}, feed-forward {}{}", c.hidden_size, c.intermediate_size,
                   c.experts > 0 ? fmt::format(", one expert {}", c.moe_intermediate_size) : ""));
  line("attention", attention_text(c));
  if (c.experts > 0) line("router", router_text(c));
  const double cache = static_cast<double>(d.cache_bytes_per_token);
  line("context", fmt::format("{} tokens; cache {} per token, {} in all", c.context_length,
                              format_bytes(cache),
                              format_bytes(cache * static_cast<double>(c.context_length))));
  line("vocabulary", fmt::format("{}{}", c.vocab_size, c.tied_head ? ", head tied" : ""));
  line("tokenizer", text.present ? fmt::format("{}, {} tokens", text.pre, text.tokens) : "none");
  line("prompt format", text.prompt.empty() ? "none known: a base model" : text.prompt);
}

void print_amounts(const char* title, const std::string& name, const Amount& amount,
                   const Amount& total, bool first) {
  if (first)
    fmt::print("\n  {:<22}{:>9}{:>12}{:>12}{:>8}\n", title, "tensors", "weights", "bytes", "share");
  fmt::print("  {:<22}{:>9}{:>12}{:>12}{:>7.1f}%\n", name, amount.tensors,
             format_count(static_cast<double>(amount.elements)),
             format_bytes(static_cast<double>(amount.bytes)),
             total.bytes > 0
                 ? 100.0 * static_cast<double>(amount.bytes) / static_cast<double>(total.bytes)
                 : 0.0);
}

void print_text(const Description& d, const TextSide& text, const Options& options) {
  fmt::print("{}\n", d.name);
  line("files", fmt::format("{}, {} in {} tensors", d.container,
                            format_bytes(static_cast<double>(d.total.bytes)), d.total.tensors));
  line("architecture", d.architecture);
  if (d.config) print_config(d, *d.config, text);
  bool first = true;
  for (int i = 0; i < format::part_count; ++i) {
    if (d.parts[i].tensors == 0) continue;
    print_amounts("part", std::string(format::part_name(static_cast<format::Part>(i))), d.parts[i],
                  d.total, first);
    first = false;
  }
  first = true;
  for (const auto& [name, amount] : d.types) {
    print_amounts("format", name, amount, d.total, first);
    first = false;
  }
  if (options.keys) {
    fmt::print("\n");
    for (const auto& [key, value] : d.metadata) fmt::print("  {} = {}\n", key, value);
  }
  if (options.tensors) {
    fmt::print("\n");
    for (const auto& t : d.tensors)
      fmt::print("  {:<56} {:<9} {:<22} {:>12}\n", t.name, t.type, shape_text(t.shape), t.bytes);
  }
  for (const std::string& note : d.notes) fmt::print(stderr, "note: {}\n", note);
}

Json amount_json(const Amount& amount) {
  return {{"tensors", amount.tensors}, {"weights", amount.elements}, {"bytes", amount.bytes}};
}

Json config_json(const Description& d, const model::ModelConfig& c) {
  Json json = {{"vocab_size", c.vocab_size},
               {"hidden_size", c.hidden_size},
               {"layers", c.layers},
               {"mtp_layers", c.mtp_layers},
               {"heads", c.heads},
               {"context_length", c.context_length},
               {"parameters_total", d.parameters.total},
               {"parameters_active", d.parameters.active},
               {"cache_bytes_per_token", d.cache_bytes_per_token},
               {"tied_head", c.tied_head}};
  if (c.is_mla()) {
    json["q_lora_rank"] = c.q_lora_rank;
    json["kv_lora_rank"] = c.kv_lora_rank;
  } else {
    json["kv_heads"] = c.kv_heads;
    json["head_dim"] = c.head_dim;
  }
  if (c.experts > 0) {
    json["experts"] = c.experts;
    json["experts_per_token"] = c.experts_per_token;
    json["shared_experts"] = c.shared_experts;
    json["expert_groups"] = c.expert_groups;
    json["expert_groups_used"] = c.expert_groups_used;
    json["scoring"] = c.scoring == model::Scoring::sigmoid ? "sigmoid" : "softmax";
  }
  return json;
}

Json json_of(const Description& d, const TextSide& text, const Options& options) {
  Json json = {{"name", d.name},
               {"path", d.path},
               {"container", d.container},
               {"architecture", d.architecture},
               {"runs", d.config.has_value()}};
  if (d.config) json["config"] = config_json(d, *d.config);
  if (!d.problem.empty()) json["problem"] = d.problem;
  if (text.present) json["tokenizer"] = {{"pre", text.pre}, {"tokens", text.tokens}};
  json["prompt_format"] = text.prompt.empty() ? Json() : Json(text.prompt);
  json["total"] = amount_json(d.total);
  for (int i = 0; i < format::part_count; ++i)
    if (d.parts[i].tensors > 0)
      json["parts"][std::string(format::part_name(static_cast<format::Part>(i)))] =
          amount_json(d.parts[i]);
  for (const auto& [name, amount] : d.types) json["formats"][name] = amount_json(amount);
  if (options.keys)
    for (const auto& [key, value] : d.metadata) json["keys"][key] = value;
  if (options.tensors)
    for (const auto& t : d.tensors)
      json["tensors"].push_back({{"name", t.name},
                                 {"type", t.type},
                                 {"shape", t.shape},
                                 {"bytes", t.bytes},
                                 {"part", format::part_name(t.part)}});
  json["notes"] = d.notes;
  return json;
}

void show(const Options& options, const Globals& globals) {
  const Description d = format::describe(infer::find_model(options.model));
  const TextSide text = text_side(d);
  // Names in files need not be UTF-8.
  if (globals.json)
    fmt::print("{}\n",
               json_of(d, text, options).dump(2, ' ', false, Json::error_handler_t::replace));
  else
    print_text(d, text, options);
  if (!d.problem.empty() && !globals.json)
    fmt::print(stderr, "note: Hadal cannot run this model: {}\n", d.problem);
}

}  // namespace

void add_show(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, globals, "show", "Say what a model is: sizes, parts, number formats, prompt format",
      "Examples:\n"
      "  hadal show                      the bundled model\n"
      "  hadal show model.gguf --keys    with the file's keys\n"
      "  hadal show DeepSeek-V3/ --tensors\n"
      "  hadal show model.gguf --json | jq .config.parameters_total\n\n"
      "Models that Hadal cannot run are shown too, with the reason.",
      [options, &globals] { show(*options, globals); });
  command->add_option("MODEL", options->model,
                      "Model file, folder or name (default: the bundled one)");
  command->add_flag("--tensors", options->tensors, "List every tensor");
  command->add_flag("--keys", options->keys, "List the keys of a GGUF file");
  command->group("Models");
  add_json(command, globals);
}

}  // namespace hadal::cli
