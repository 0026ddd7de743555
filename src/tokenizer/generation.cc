#include "tokenizer/generation.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"

namespace hadal::tokenizer {
namespace {

struct Entry {
  Generation generation;
  std::string_view name;
  ThinkingSupport thinking;
};

constexpr std::array<Entry, 10> kEntries = {{
    {Generation::v2, "v2", ThinkingSupport::never},
    {Generation::v25, "v2.5", ThinkingSupport::never},
    {Generation::v3, "v3", ThinkingSupport::never},
    {Generation::r1, "r1", ThinkingSupport::always},
    {Generation::v31, "v3.1", ThinkingSupport::optional_default_off},
    {Generation::v32, "v3.2", ThinkingSupport::optional_default_off},
    {Generation::v4, "v4", ThinkingSupport::optional_default_on},
    {Generation::chatml, "chatml", ThinkingSupport::never},
    {Generation::qwen3, "qwen3", ThinkingSupport::optional_default_on},
    {Generation::llama3, "llama3", ThinkingSupport::never},
}};

const Entry& entry(Generation generation) {
  const auto found = std::find_if(kEntries.begin(), kEntries.end(),
                                  [&](const Entry& e) { return e.generation == generation; });
  HADAL_CHECK(found != kEntries.end(), "unknown generation {}", static_cast<int>(generation));
  return *found;
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// The system texts that well-known ChatML templates supply by themselves.
constexpr std::array<std::string_view, 4> kDefaultSystems = {
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face",
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    "You are a helpful assistant.",
    "You are a helpful assistant",
};

std::string default_system(std::string_view chat_template) {
  for (std::string_view text : kDefaultSystems) {
    if (has(chat_template, text)) {
      return std::string(text);
    }
  }
  return {};
}

std::optional<Generation> from_model_type(const std::string& type) {
  if (type == "deepseek_v4" || type == "deepseek4") {
    return Generation::v4;
  }
  if (type == "deepseek_v32" || type == "deepseek32") {
    return Generation::v32;
  }
  return std::nullopt;
}

std::optional<Generation> from_template(std::string_view text) {
  if (has(text, "｜DSML｜")) {
    return has(text, "function_calls") ? Generation::v32 : Generation::v4;
  }
  if (has(text, "<｜User｜>")) {
    if (!has(text, "</think>")) {
      return Generation::v3;
    }
    // R1 keeps what stands behind the last </think>, V3.1 what stands behind the first.
    return has(text, "split('</think>')[-1]") || has(text, "<think>\\n") ? Generation::r1
                                                                         : Generation::v31;
  }
  if (has(text, "<|im_start|>")) {
    return has(text, "<think>") ? Generation::qwen3 : Generation::chatml;
  }
  if (has(text, "<|start_header_id|>")) {
    return Generation::llama3;
  }
  if (has(text, "User: ") && has(text, "Assistant:")) {
    return Generation::v2;
  }
  return std::nullopt;
}

std::optional<Generation> from_vocabulary(const std::function<bool(std::string_view)>& has_token,
                                          const std::string& name) {
  if (!has_token) {
    return std::nullopt;
  }
  if (has_token("｜DSML｜")) {
    return Generation::v4;
  }
  if (has_token("<｜User｜>")) {
    if (has(name, "v3.2")) {
      return Generation::v32;
    }
    if (has(name, "v3.1")) {
      return Generation::v31;
    }
    if (has(name, "v3") || has(name, "v2.5")) {
      return Generation::v3;
    }
    return has_token("<think>") ? Generation::r1 : Generation::v3;
  }
  if (has_token("<|im_start|>")) {
    return has_token("<think>") ? Generation::qwen3 : Generation::chatml;
  }
  if (has_token("<|start_header_id|>")) {
    return Generation::llama3;
  }
  return std::nullopt;
}

}  // namespace

std::string_view generation_name(Generation generation) {
  return entry(generation).name;
}

Generation parse_generation(std::string_view name) {
  const std::string wanted = lower(name);
  std::string names;
  for (const Entry& e : kEntries) {
    if (e.name == wanted) {
      return e.generation;
    }
    names += names.empty() ? "" : ", ";
    names += e.name;
  }
  fail(ErrorKind::usage, "unknown generation '{}'; known are {}", name, names);
}

ThinkingSupport thinking_support(Generation generation) {
  return entry(generation).thinking;
}

bool resolve_thinking(Generation generation, std::optional<bool> wanted) {
  switch (thinking_support(generation)) {
    case ThinkingSupport::never:
      if (wanted.value_or(false)) {
        fail(ErrorKind::usage, "a model of generation {} has no thinking mode",
             generation_name(generation));
      }
      return false;
    case ThinkingSupport::always:
      if (!wanted.value_or(true)) {
        fail(ErrorKind::usage, "a model of generation {} always thinks; thinking cannot be off",
             generation_name(generation));
      }
      return true;
    case ThinkingSupport::optional_default_off:
      return wanted.value_or(false);
    case ThinkingSupport::optional_default_on:
      return wanted.value_or(true);
  }
  return false;
}

std::optional<DialogueStyle> detect_style(const ModelHints& hints) {
  std::optional<Generation> found = from_model_type(lower(hints.model_type));
  if (!found) {
    found = from_template(hints.chat_template);
  }
  if (!found) {
    found = from_vocabulary(hints.has_token, lower(hints.name));
  }
  if (!found) {
    return std::nullopt;
  }
  DialogueStyle style{*found, {}};
  // Hadal's own models: V3.1's form, but they think unless told not to.
  if (*found == Generation::v31 && has(hints.chat_template, "set thinking = true")) {
    style.thinking = true;
  }
  if (*found == Generation::chatml || *found == Generation::qwen3) {
    style.default_system = default_system(hints.chat_template);
  }
  return style;
}

}  // namespace hadal::tokenizer
