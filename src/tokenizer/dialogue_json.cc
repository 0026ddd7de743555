// Dialogues in OpenAI's JSON form.
#include <array>
#include <utility>

#include "base/error.h"
#include "tokenizer/dialogue.h"
#include "tokenizer/tools_json.h"

namespace hadal::tokenizer {
namespace {

constexpr size_t kMessagesMax = 100'000;

Role parse_role(const std::string& name, size_t index) {
  constexpr std::array<std::pair<std::string_view, Role>, 6> kRoles = {{
      {"system", Role::system},
      {"user", Role::user},
      {"assistant", Role::assistant},
      {"tool", Role::tool},
      {"developer", Role::developer},
      {"latest_reminder", Role::latest_reminder},
  }};
  for (const auto& [known, role] : kRoles) {
    if (name == known) {
      return role;
    }
  }
  fail(ErrorKind::usage,
       "messages[{}]: unknown role '{}'; known are system, user, assistant, tool, developer, "
       "latest_reminder",
       index, name);
}

std::string string_field(const Json& object, const char* key, size_t index) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) {
    return {};
  }
  if (!found->is_string()) {
    fail(ErrorKind::usage, "messages[{}].{}: expected a string", index, key);
  }
  return found->get<std::string>();
}

std::string parse_content(const Json& message, size_t index) {
  const auto found = message.find("content");
  if (found == message.end() || !found->is_array()) {
    return string_field(message, "content", index);
  }
  std::string text;
  for (const Json& part : *found) {
    const bool is_text = part.is_object() && part.contains("text") && part["text"].is_string() &&
                         part.contains("type") && part["type"] == "text";
    if (!is_text) {
      fail(ErrorKind::usage,
           "messages[{}].content: only text parts are understood; the model takes no images or "
           "files",
           index);
    }
    text += part["text"].get<std::string>();
  }
  return text;
}

std::vector<ToolCall> parse_calls(const Json& message, size_t index) {
  std::vector<ToolCall> calls;
  const auto found = message.find("tool_calls");
  if (found == message.end() || found->is_null()) {
    return calls;
  }
  const auto wrong = [&] {
    fail(ErrorKind::usage,
         "messages[{}].tool_calls: expected [{{\"id\", \"type\", \"function\": {{\"name\", "
         "\"arguments\"}}}}]",
         index);
  };
  if (!found->is_array()) {
    wrong();
  }
  for (const Json& item : *found) {
    if (!item.is_object() || !item.contains("function") || !item["function"].is_object()) {
      wrong();
    }
    const Json& function = item["function"];
    ToolCall call;
    call.id = string_field(item, "id", index);
    call.name = string_field(function, "name", index);
    const auto arguments = function.find("arguments");
    if (arguments != function.end() && arguments->is_object()) {
      call.arguments = python_dump(*arguments);
    } else {
      call.arguments = string_field(function, "arguments", index);
    }
    if (call.name.empty()) {
      wrong();
    }
    calls.push_back(std::move(call));
  }
  return calls;
}

Message parse_message(const Json& object, size_t index) {
  if (!object.is_object()) {
    fail(ErrorKind::usage, "messages[{}]: expected an object with role and content", index);
  }
  Message message;
  message.role = parse_role(string_field(object, "role", index), index);
  message.content = parse_content(object, index);
  message.reasoning_content = string_field(object, "reasoning_content", index);
  message.tool_calls = parse_calls(object, index);
  message.tool_call_id = string_field(object, "tool_call_id", index);
  message.task = string_field(object, "task", index);
  if (const auto tools = object.find("tools"); tools != object.end() && !tools->is_null()) {
    message.tools = tools_from(*tools);
  }
  if (const auto format = object.find("response_format");
      format != object.end() && !format->is_null()) {
    message.response_format = python_dump(*format);
  }
  if (const auto prefix = object.find("prefix"); prefix != object.end() && !prefix->is_null()) {
    if (!prefix->is_boolean()) {
      fail(ErrorKind::usage, "messages[{}].prefix: expected true or false", index);
    }
    message.prefix = prefix->get<bool>();
  }
  return message;
}

}  // namespace

Dialogue dialogue_from_json(std::string_view json) {
  const Json root = parse_json(json, "dialogue");
  const bool wrapped = root.is_object() && root.contains("messages");
  const Json& messages = wrapped ? root["messages"] : root;
  if (!messages.is_array()) {
    fail(ErrorKind::usage, "dialogue: expected an array of messages or {{\"messages\": [...]}}");
  }
  if (messages.size() > kMessagesMax) {
    fail(ErrorKind::usage, "dialogue: {} messages, at most {} allowed", messages.size(),
         kMessagesMax);
  }
  Dialogue dialogue;
  for (const Json& message : messages) {
    dialogue.messages.push_back(parse_message(message, dialogue.messages.size()));
  }
  if (wrapped && root.contains("tools") && !root["tools"].is_null()) {
    dialogue.tools = tools_from(root["tools"]);
  }
  return dialogue;
}

}  // namespace hadal::tokenizer
