// Anthropic's Messages as a chat request.
#include <algorithm>

#include <fmt/format.h>

#include "server/api_error.h"
#include "server/chat_request.h"
#include "server/request_parts.h"
#include "tokenizer/tools_json.h"

namespace hadal::server {
namespace {

using tokenizer::Message;
using tokenizer::Role;

[[noreturn]] void refuse_block(const Fields& block, const std::string& type) {
  throw ApiError(400,
                 fmt::format("{}: the model reads text only, not '{}'", block.path("type"), type),
                 block.path("type"));
}

std::string block_type(const Fields& block) {
  block.require("type");
  return *block.string("type");
}

// A string, or blocks of text.
std::string read_text(const Fields& fields, std::string_view key) {
  const Json* value = fields.find(key);
  if (value == nullptr) return "";
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_array()) wrong_field(fields.path(key), "a string or an array of blocks", *value);
  std::string text;
  size_t index = 0;
  for (const Json& item : *value) {
    const Fields block(item, fmt::format("{}[{}]", fields.path(key), index++));
    if (block_type(block) != "text") refuse_block(block, block_type(block));
    block.require("text");
    text += *block.string("text");
  }
  return text;
}

void read_assistant(const Fields& fields, std::vector<Message>& messages) {
  Message message;
  message.role = Role::assistant;
  const Json& content = fields.require("content");
  if (content.is_string()) {
    message.content = content.get<std::string>();
  } else {
    size_t index = 0;
    for (const Json& item : *fields.array("content", messages_max)) {
      const Fields block(item, fmt::format("{}[{}]", fields.path("content"), index++));
      const std::string type = block_type(block);
      if (type == "text") {
        block.require("text");
        message.content += *block.string("text");
      } else if (type == "thinking") {
        message.reasoning_content += block.string("thinking").value_or("");
      } else if (type == "tool_use") {
        tokenizer::ToolCall call;
        call.id = block.string("id").value_or("");
        call.name = read_tool_name(block, "name");
        const auto input = block.object("input");
        call.arguments = input ? tokenizer::python_dump(*block.find("input")) : "{}";
        message.tool_calls.push_back(std::move(call));
      } else if (type != "redacted_thinking") {
        refuse_block(block, type);
      }
    }
  }
  messages.push_back(std::move(message));
}

// Results of tools come inside a user's message; here they are messages in front of it.
void read_user(const Fields& fields, std::vector<Message>& messages) {
  Message message;
  const Json& content = fields.require("content");
  bool has_text = false;
  if (content.is_string()) {
    message.content = content.get<std::string>();
    has_text = true;
  } else {
    size_t index = 0;
    for (const Json& item : *fields.array("content", messages_max)) {
      const Fields block(item, fmt::format("{}[{}]", fields.path("content"), index++));
      const std::string type = block_type(block);
      if (type == "text") {
        block.require("text");
        message.content += *block.string("text");
        has_text = true;
      } else if (type == "tool_result") {
        Message result;
        result.role = Role::tool;
        result.tool_call_id = block.string("tool_use_id").value_or("");
        result.content = read_text(block, "content");
        messages.push_back(std::move(result));
      } else {
        refuse_block(block, type);
      }
    }
  }
  if (has_text) messages.push_back(std::move(message));
}

void read_tools_and_choice(const Fields& fields, ChatRequest& request) {
  if (const Json* tools = fields.array("tools", tools_max)) {
    request.tool_schema_key = "input_schema";
    Json functions = Json::array();
    for (const Json& item : *tools) {
      const Fields tool(item, fmt::format("tools[{}]", functions.size()));
      Json function = {{"name", read_tool_name(tool, "name")}};
      if (const auto description = tool.string("description"))
        function["description"] = *description;
      tool.object("input_schema");
      function["parameters"] = tool.require("input_schema");
      request.strict_tools.push_back(tool.boolean("strict").value_or(false));
      functions.push_back({{"type", "function"}, {"function", std::move(function)}});
    }
    request.dialogue.tools = tokenizer::tools_from(functions);
  }
  const auto choice = fields.object("tool_choice");
  if (!choice) return;
  const std::string type = block_type(*choice);
  const auto& tools = request.dialogue.tools;
  if (type == "any") {
    request.tool_choice.kind = ToolChoice::Kind::required;
  } else if (type == "none") {
    request.tool_choice.kind = ToolChoice::Kind::none;
  } else if (type == "tool") {
    request.tool_choice.kind = ToolChoice::Kind::named;
    request.tool_choice.name = read_tool_name(*choice, "name");
    if (std::none_of(tools.begin(), tools.end(),
                     [&](const auto& tool) { return tool.name == request.tool_choice.name; }))
      throw ApiError(400,
                     fmt::format("tool_choice: no tool is called '{}'", request.tool_choice.name),
                     "tool_choice.name");
  } else if (type != "auto") {
    wrong_field("tool_choice.type", "\"auto\", \"any\", \"tool\" or \"none\"",
                *choice->find("type"));
  }
  request.parallel_tools = !choice->boolean("disable_parallel_tool_use").value_or(false);
  if (type == "any" && tools.empty())
    throw ApiError(400, "tool_choice: there are no tools to choose from", "tool_choice");
}

void read_thinking(const Fields& fields, ChatRequest& request) {
  if (const auto thinking = fields.object("thinking")) {
    const std::string type = block_type(*thinking);
    if (type != "enabled" && type != "disabled" && type != "adaptive")
      wrong_field("thinking.type", "\"enabled\", \"disabled\" or \"adaptive\"",
                  *thinking->find("type"));
    request.thinking = type != "disabled";
    request.thinking_budget = thinking->integer("budget_tokens", 0, int64_t{1} << 31).value_or(-1);
  }
  const auto output = fields.object("output_config");
  if (!output) return;
  if (const auto effort = output->string("effort"); effort && request.thinking_budget < 0)
    request.thinking_budget = effort_budget(*effort);
}

}  // namespace

ChatRequest read_anthropic_request(const Json& body) {
  const Fields fields(body, "");
  ChatRequest request;
  read_common(fields, request);
  request.n = 1;
  request.knows_claude = true;
  for (std::string& stop : fields.strings("stop_sequences", stops_max))
    if (!stop.empty()) request.stop.push_back(std::move(stop));
  if (const auto metadata = fields.object("metadata")) read_user_id(*metadata, "user_id", request);
  if (std::string system = read_text(fields, "system"); !system.empty()) {
    Message message;
    message.role = Role::system;
    message.content = std::move(system);
    request.dialogue.messages.push_back(std::move(message));
  }
  const Json& list = fields.require("messages");
  if (!list.is_array() || list.empty() || list.size() > messages_max)
    wrong_field("messages", fmt::format("an array of 1 to {} messages", messages_max), list);
  size_t index = 0;
  for (const Json& item : list) {
    const Fields message(item, fmt::format("messages[{}]", index++));
    message.require("role");
    const std::string role = *message.string("role");
    if (role == "user")
      read_user(message, request.dialogue.messages);
    else if (role == "assistant")
      read_assistant(message, request.dialogue.messages);
    else
      wrong_field(message.path("role"), "\"user\" or \"assistant\"", *message.find("role"));
  }
  // A last message of the assistant is a beginning that the model continues.
  if (request.dialogue.messages.empty())
    throw ApiError(422, "messages: nothing is said in them", "messages");
  Message& last = request.dialogue.messages.back();
  if (last.role == Role::assistant && last.tool_calls.empty()) last.prefix = true;
  read_tools_and_choice(fields, request);
  read_thinking(fields, request);
  return request;
}

}  // namespace hadal::server
