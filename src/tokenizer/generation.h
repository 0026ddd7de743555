// Which dialogue form a model was trained on. Templates found in model files are never executed:
// they are only compared with known markers. docs/dialogue.md gives the rules.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace hadal::tokenizer {

enum class Generation {
  v2,      // DeepSeek-V2 chat: "User: ...", "Assistant: ..."
  v25,     // V2.5
  v3,      // V3, V3-0324, and Hadal's own small models
  r1,      // R1, R1-0528 and the R1 distillations
  v31,     // V3.1, V3.1-Terminus
  v32,     // V3.2: tools in DSML markup
  v4,      // V4
  chatml,  // Qwen up to 2.5, SmolLM: no thinking
  qwen3,   // ChatML with <think>
  llama3,  // Llama 3 instruct
};

enum class ThinkingSupport { never, always, optional_default_off, optional_default_on };

// "v3.1", "r1", "chatml", ... ; parse_generation throws Error(usage) that lists the names.
std::string_view generation_name(Generation generation);
Generation parse_generation(std::string_view name);
ThinkingSupport thinking_support(Generation generation);

// Whether a dialogue is encoded with thinking. Throws Error(usage) if `wanted` contradicts the
// generation: R1 always thinks, V3 never does.
bool resolve_thinking(Generation generation, std::optional<bool> wanted);

// What a model file tells about its dialogue form; any part may be empty.
struct ModelHints {
  std::string chat_template{};  // tokenizer_config.json or tokenizer.chat_template
  std::string model_type{};     // config.json's model_type or general.architecture
  std::string name{};           // general.name or the folder's name
  std::function<bool(std::string_view)> has_token{};  // whether the vocabulary has a token
};

struct DialogueStyle {
  Generation generation = Generation::v3;
  std::string
      default_system;  // supplied by the model's template when a dialogue has no system text
  // Whether the model thinks when nobody says, where its template departs from its generation.
  std::optional<bool> thinking{};
};

// Nothing if no rule matches: a base model without dialogue form, or a foreign one.
std::optional<DialogueStyle> detect_style(const ModelHints& hints);

}  // namespace hadal::tokenizer
