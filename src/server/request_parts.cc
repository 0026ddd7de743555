#include "server/request_parts.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "server/api_error.h"
#include "tokenizer/tools_json.h"

namespace hadal::server {
namespace {

constexpr int64_t tokens_max = int64_t{1} << 31;
constexpr int64_t seed_max = int64_t{1} << 62;
constexpr size_t bias_max = 4096;
constexpr size_t model_name_max = 256;

void read_bias(const Fields& fields, CommonRequest& request) {
  const std::optional<Fields> bias = fields.object("logit_bias");
  if (!bias) return;
  const Json& object = *fields.find("logit_bias");
  if (object.size() > bias_max)
    wrong_field("logit_bias", fmt::format("at most {} tokens", bias_max), object);
  for (const auto& item : object.items()) {
    const std::string& key = item.key();
    int32_t id = -1;
    const auto end = key.data() + key.size();
    if (std::from_chars(key.data(), end, id).ptr != end || id < 0)
      throw ApiError(422, fmt::format("logit_bias: '{}' is no token id", key.substr(0, 20)),
                     "logit_bias");
    const double value = bias->number(key, -100, 100).value_or(0);
    // OpenAI's -100 means never.
    constexpr float never = -std::numeric_limits<float>::infinity();
    request.logit_bias.emplace_back(id, value <= -100 ? never : static_cast<float>(value));
  }
}

void read_extras(const Fields& fields, Extras& extras) {
  const std::optional<Fields> object = fields.object("x_hadal");
  if (!object) return;
  extras.cost = object->boolean("cost").value_or(false);
  const Json* receipt = object->find("receipt");
  if (receipt == nullptr) return;
  if (receipt->is_boolean())
    extras.receipt = receipt->get<bool>() ? Extras::Receipt::hashes : Extras::Receipt::none;
  else if (*receipt == "full")
    extras.receipt = Extras::Receipt::full;
  else
    wrong_field("x_hadal.receipt", "true, false or \"full\"", *receipt);
}

std::string read_content(const Fields& message) {
  const Json* content = message.find("content");
  if (content == nullptr) return "";
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array())
    wrong_field(message.path("content"), "a string or an array of parts", *content);
  std::string text;
  size_t index = 0;
  for (const Json& item : *content) {
    const Fields part(item, fmt::format("{}[{}]", message.path("content"), index++));
    const std::string type = part.string("type").value_or("text");
    if (type != "text" && type != "input_text")
      throw ApiError(
          400, fmt::format("{}: the model reads text only, not '{}'", part.path("type"), type),
          part.path("type"));
    part.require("text");
    text += *part.string("text");
  }
  return text;
}

std::vector<tokenizer::ToolCall> read_calls(const Fields& message) {
  std::vector<tokenizer::ToolCall> calls;
  const Json* list = message.array("tool_calls", tools_max);
  if (list == nullptr) return calls;
  for (const Json& item : *list) {
    const Fields fields(item, fmt::format("{}[{}]", message.path("tool_calls"), calls.size()));
    const Fields function(fields.require("function"), fields.path("function"));
    tokenizer::ToolCall call;
    call.id = fields.string("id").value_or("");
    function.require("name");
    call.name = *function.string("name");
    const Json* arguments = function.find("arguments");
    if (arguments != nullptr && arguments->is_object())
      call.arguments = tokenizer::python_dump(*arguments);
    else
      call.arguments = function.string("arguments").value_or("");
    calls.push_back(std::move(call));
  }
  return calls;
}

tokenizer::Role read_role(const Fields& message) {
  using tokenizer::Role;
  message.require("role");
  const std::string role = *message.string("role");
  // OpenAI's newer word for system; what V3.2's and V4's encoders call so is something else.
  if (role == "system" || role == "developer") return Role::system;
  if (role == "user") return Role::user;
  if (role == "assistant") return Role::assistant;
  if (role == "tool") return Role::tool;
  if (role == "latest_reminder") return Role::latest_reminder;
  wrong_field(message.path("role"), "system, developer, user, assistant or tool",
              *message.find("role"));
}

}  // namespace

void read_user_id(const Fields& fields, std::string_view key, CommonRequest& request) {
  const auto id = fields.string(key);
  if (!id) return;
  if (id->size() > user_id_max)
    wrong_field(fields.path(key), fmt::format("at most {} characters", user_id_max),
                *fields.find(key));
  request.user_id = *id;
}

void read_common(const Fields& fields, CommonRequest& request) {
  request.model = fields.string("model").value_or("");
  // Every chunk of a stream repeats it.
  if (request.model.size() > model_name_max)
    wrong_field("model", fmt::format("at most {} characters", model_name_max),
                *fields.find("model"));
  request.temperature = fields.number("temperature", 0, temperature_max);
  request.top_p = fields.number("top_p", 0, 1);
  request.min_p = fields.number("min_p", 0, 1);
  request.top_k = fields.integer("top_k", -1, 1 << 30);
  request.repetition_penalty = fields.number("repetition_penalty", 0.01, 100);
  request.frequency_penalty = fields.number("frequency_penalty", -penalty_max, penalty_max);
  request.presence_penalty = fields.number("presence_penalty", -penalty_max, penalty_max);
  request.seed = fields.integer("seed", -seed_max, seed_max);
  read_bias(fields, request);
  request.max_tokens = fields.integer("max_tokens", 1, tokens_max).value_or(-1);
  if (const auto newer = fields.integer("max_completion_tokens", 1, tokens_max))
    request.max_tokens = *newer;
  request.stop = fields.strings("stop", stops_max);
  std::erase(request.stop, "");
  request.n = fields.integer("n", 1, choices_max).value_or(1);
  request.stream = fields.boolean("stream").value_or(false);
  if (const auto options = fields.object("stream_options"))
    request.include_usage = options->boolean("include_usage").value_or(false);
  request.ignore_eos = fields.boolean("ignore_eos").value_or(false);
  request.grammar = fields.string("grammar").value_or("");
  read_user_id(fields, "user_id", request);
  if (request.user_id.empty()) read_user_id(fields, "user", request);
  read_extras(fields, request.extras);
}

std::string read_tool_name(const Fields& fields, std::string_view key) {
  fields.require(key);
  const std::string name = *fields.string(key);
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
  if (!plain || name.empty() || name.size() > tool_name_max)
    wrong_field(fields.path(key), fmt::format("1 to {} of A-Z a-z 0-9 _ -", tool_name_max),
                *fields.find(key));
  return name;
}

std::vector<tokenizer::Message> read_messages(const Json& list) {
  if (!list.is_array() || list.empty() || list.size() > messages_max)
    wrong_field("messages", fmt::format("an array of 1 to {} messages", messages_max), list);
  std::vector<tokenizer::Message> messages;
  for (const Json& item : list) {
    const Fields fields(item, fmt::format("messages[{}]", messages.size()));
    tokenizer::Message message;
    message.role = read_role(fields);
    message.content = read_content(fields);
    if (message.role == tokenizer::Role::assistant) {
      message.reasoning_content = fields.string("reasoning_content").value_or("");
      // vLLM's name for it.
      if (message.reasoning_content.empty())
        message.reasoning_content = fields.string("reasoning").value_or("");
      message.tool_calls = read_calls(fields);
      message.prefix = fields.boolean("prefix").value_or(false);
      if (message.prefix && messages.size() + 1 != list.size())
        throw ApiError(
            400, fmt::format("{}: only the last message can be continued", fields.path("prefix")),
            fields.path("prefix"));
    }
    if (message.role == tokenizer::Role::tool)
      message.tool_call_id = fields.string("tool_call_id").value_or("");
    messages.push_back(std::move(message));
  }
  return messages;
}

std::vector<tokenizer::Tool> read_tools(const Json& list, std::vector<bool>& strict) {
  for (const Json& item : list) {
    const Fields tool(item, fmt::format("tools[{}]", strict.size()));
    if (const auto type = tool.string("type"); type && *type != "function")
      wrong_field(tool.path("type"), "\"function\"", *tool.find("type"));
    const Fields function(tool.require("function"), tool.path("function"));
    read_tool_name(function, "name");
    function.string("description");
    function.object("parameters");
    strict.push_back(function.boolean("strict").value_or(false));
  }
  return tokenizer::tools_from(list);
}

}  // namespace hadal::server
