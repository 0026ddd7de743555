#include "server/chat_request.h"

#include <algorithm>

#include <fmt/format.h>

#include "server/api_error.h"
#include "server/request_parts.h"

namespace hadal::server {
namespace {

// A reasoning budget in tokens by the name of the effort; the hosted models were trained on the
// names, these were not.
constexpr int64_t budget_low = 1024, budget_medium = 8192, budget_high = 32768;
constexpr int64_t budget_max = int64_t{1} << 31;

void read_thinking(const Fields& fields, ChatRequest& request) {
  if (const auto thinking = fields.object("thinking")) {
    thinking->require("type");
    const std::string type = *thinking->string("type");
    if (type != "enabled" && type != "disabled" && type != "adaptive")
      wrong_field("thinking.type", "\"enabled\", \"disabled\" or \"adaptive\"",
                  *thinking->find("type"));
    request.thinking = type != "disabled";
    request.thinking_budget = thinking->integer("budget_tokens", 0, budget_max).value_or(-1);
  } else if (const auto template_options = fields.object("chat_template_kwargs")) {
    request.thinking = template_options->boolean("thinking");
    if (!request.thinking) request.thinking = template_options->boolean("enable_thinking");
  }
  if (const auto effort = fields.string("reasoning_effort")) {
    if (*effort == "none" || *effort == "minimal") {
      if (!request.thinking) request.thinking = false;
    } else {
      request.thinking_budget = effort_budget(*effort);
      request.effort = *effort == "max" || *effort == "xhigh" ? tokenizer::Effort::max
                                                              : tokenizer::Effort::standard;
    }
  }
  if (const auto budget = fields.integer("reasoning_budget", -1, budget_max))
    request.thinking_budget = *budget;
}

ResponseFormat read_format(const Fields& fields) {
  ResponseFormat format;
  const auto object = fields.object("response_format");
  if (!object) return format;
  object->require("type");
  const std::string type = *object->string("type");
  if (type == "text") return format;
  if (type == "json_object") {
    format.kind = ResponseFormat::Kind::json_object;
  } else if (type == "json_schema") {
    format.kind = ResponseFormat::Kind::json_schema;
    const Fields wrapper(object->require("json_schema"), object->path("json_schema"));
    const Json& schema = wrapper.require("schema");
    if (!schema.is_object() && !schema.is_boolean())
      wrong_field(wrapper.path("schema"), "a JSON schema", schema);
    format.schema = schema.dump(-1, ' ', false, Json::error_handler_t::replace);
  } else {
    wrong_field("response_format.type", "\"text\", \"json_object\" or \"json_schema\"",
                *object->find("type"));
  }
  return format;
}

ToolChoice read_tool_choice(const Fields& fields, const std::vector<tokenizer::Tool>& tools) {
  ToolChoice choice;
  const Json* value = fields.find("tool_choice");
  if (value == nullptr) return choice;
  if (value->is_string()) {
    if (*value == "auto") return choice;
    if (*value == "none")
      choice.kind = ToolChoice::Kind::none;
    else if (*value == "required")
      choice.kind = ToolChoice::Kind::required;
    else
      wrong_field("tool_choice", "none, auto, required or a function", *value);
  } else {
    const Fields object(*value, "tool_choice");
    const Fields function(object.require("function"), "tool_choice.function");
    choice.kind = ToolChoice::Kind::named;
    choice.name = read_tool_name(function, "name");
    const bool known = std::any_of(tools.begin(), tools.end(),
                                   [&](const auto& tool) { return tool.name == choice.name; });
    if (!known)
      throw ApiError(400, fmt::format("tool_choice: no tool is called '{}'", choice.name),
                     "tool_choice.function.name");
  }
  if (choice.kind != ToolChoice::Kind::none && tools.empty())
    throw ApiError(400, "tool_choice: there are no tools to choose from", "tool_choice");
  return choice;
}

}  // namespace

int64_t effort_budget(const std::string& effort) {
  if (effort == "low") return budget_low;
  if (effort == "medium") return budget_medium;
  if (effort == "high") return budget_high;
  if (effort == "max" || effort == "xhigh") return -1;
  wrong_field("reasoning_effort", "none, low, medium, high or max", Json(effort));
}

ChatRequest read_chat_request(const Json& body) {
  const Fields fields(body, "");
  ChatRequest request;
  read_common(fields, request);
  const bool wants_logprobs = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, top_logprobs_max);
  if (wants_logprobs) request.logprobs = top.value_or(0);
  if (top && !wants_logprobs)
    throw ApiError(422, "top_logprobs: needs \"logprobs\": true", "top_logprobs");
  read_thinking(fields, request);
  request.dialogue.messages = read_messages(fields.require("messages"));
  if (const Json* tools = fields.array("tools", tools_max))
    request.dialogue.tools = read_tools(*tools, request.strict_tools);
  request.tool_choice = read_tool_choice(fields, request.dialogue.tools);
  request.parallel_tools = fields.boolean("parallel_tool_calls").value_or(true);
  request.format = read_format(fields);
  return request;
}

tokenizer::Dialogue read_dialogue(const Json& body) {
  const Fields fields(body, "");
  tokenizer::Dialogue dialogue;
  dialogue.messages = read_messages(fields.require("messages"));
  std::vector<bool> strict;
  if (const Json* tools = fields.array("tools", tools_max))
    dialogue.tools = read_tools(*tools, strict);
  return dialogue;
}

CompletionRequest read_completion_request(const Json& body) {
  const Fields fields(body, "");
  CompletionRequest request;
  read_common(fields, request);
  request.logprobs = fields.integer("logprobs", 0, top_logprobs_max).value_or(-1);
  request.echo = fields.boolean("echo").value_or(false);
  request.suffix = fields.string("suffix");
  const Json& prompt = fields.require("prompt");
  if (prompt.is_string()) {
    request.prompt = prompt.get<std::string>();
  } else if (prompt.is_array() && prompt.size() == 1 && prompt[0].is_string()) {
    request.prompt = prompt[0].get<std::string>();
  } else if (prompt.is_array() && !prompt.empty()) {
    for (const Json& id : prompt) {
      if (!id.is_number_integer() || id < 0 || id > std::numeric_limits<int32_t>::max())
        wrong_field("prompt", "a string, or an array of token ids", id);
      request.prompt_ids.push_back(id.get<int32_t>());
    }
    if (request.suffix || request.echo)
      throw ApiError(400, "prompt: with token ids there is neither suffix nor echo", "prompt");
  } else {
    wrong_field("prompt", "a string, or an array of token ids", prompt);
  }
  if (request.suffix && request.echo)
    throw ApiError(400, "echo: there is nothing to echo between prompt and suffix", "echo");
  return request;
}

}  // namespace hadal::server
