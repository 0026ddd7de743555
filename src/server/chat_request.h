// What the APIs ask for, read from JSON and checked, but not yet bound to a model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "tokenizer/dialogue.h"

namespace hadal::server {

using Json = nlohmann::ordered_json;

// x_hadal of a request: what the answer shall say about itself.
struct Extras {
  enum class Receipt { none, hashes, full };  // full: prompt and answer as token ids, too
  Receipt receipt = Receipt::none;
  bool cost = false;
};

// What all generating endpoints share. Unset sampling values are the model's own.
struct CommonRequest {
  std::string model;
  bool knows_claude = false;  // Anthropic's form, in which claude-... stands for the model
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<double> frequency_penalty, presence_penalty;
  std::optional<int64_t> top_k, seed;
  std::vector<std::pair<int32_t, float>> logit_bias;
  int64_t max_tokens = -1;
  std::vector<std::string> stop;
  int64_t n = 1;
  bool stream = false;
  bool include_usage = false;  // stream_options
  bool ignore_eos = false;
  int64_t logprobs = -1;  // -1: none wanted; else how many of the likeliest tokens beside
  std::string user_id;
  std::string grammar;  // GBNF, an extension
  Extras extras;
};

struct ResponseFormat {
  enum class Kind { text, json_object, json_schema };
  Kind kind = Kind::text;
  std::string schema;  // json_schema: the schema as JSON
};

struct ToolChoice {
  enum class Kind { automatic, none, required, named };
  Kind kind = Kind::automatic;
  std::string name;  // named
};

struct ChatRequest : CommonRequest {
  tokenizer::Dialogue dialogue;
  std::optional<bool> thinking;  // unset: as the model's name or the model itself says
  std::optional<tokenizer::Effort> effort;
  int64_t thinking_budget = -1;
  ResponseFormat format;
  ToolChoice tool_choice;
  std::vector<bool> strict_tools;  // of each of dialogue.tools: its schema must be kept to
  std::string_view tool_schema_key = "function.parameters";  // within a tool, for messages
  bool parallel_tools = true;
};

struct CompletionRequest : CommonRequest {
  std::string prompt;
  std::vector<int32_t> prompt_ids;    // instead of a text
  std::optional<std::string> suffix;  // FIM: the model writes what stands between
  bool echo = false;
};

// Ranges, which the OpenAPI document repeats.
inline constexpr double temperature_max = 2, penalty_max = 2;
inline constexpr int64_t stops_max = 16, tools_max = 128, choices_max = 16, top_logprobs_max = 20;
inline constexpr size_t tool_name_max = 64, user_id_max = 512;
inline constexpr size_t messages_max = 100'000;

// All throw ApiError: 422 naming the path, 400 for what is well-formed but cannot be done.
ChatRequest read_chat_request(const Json& body);
CompletionRequest read_completion_request(const Json& body);
// Anthropic's Messages; `system`, blocks, tools and thinking become what the other form has.
ChatRequest read_anthropic_request(const Json& body);

// OpenAI's messages and tools, also for /apply-template.
tokenizer::Dialogue read_dialogue(const Json& body);

// Tokens of thinking that an effort stands for: low, medium, high, max. -1: no bound. Throws
// ApiError(422).
int64_t effort_budget(const std::string& effort);

}  // namespace hadal::server
