// ChatML (Qwen, SmolLM) and Llama 3: a header and an end token around every message.
#include "base/error.h"
#include "tokenizer/dialogue_prompt.h"

namespace hadal::tokenizer {
namespace {

constexpr std::string_view kStart = "<|im_start|>";
constexpr std::string_view kEnd = "<|im_end|>";

std::string_view chatml_role(Role role) {
  switch (role) {
    case Role::user:
    case Role::tool:
      return "user";
    case Role::assistant:
      return "assistant";
    case Role::system:
    case Role::developer:
    case Role::latest_reminder:
      break;
  }
  return "system";
}

void open_turn(Prompt& prompt, Role role) {
  prompt.special(kStart);
  prompt.text(chatml_role(role));
  prompt.text("\n");
}

void close_turn(Prompt& prompt) {
  prompt.special(kEnd);
  prompt.text("\n");
}

// The tool section of Qwen 2.5 and Qwen 3.
void put_tools(Prompt& prompt, const std::vector<Tool>& tools) {
  prompt.text(
      "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are "
      "provided with function signatures within <tools></tools> XML tags:\n<tools>");
  for (const Tool& tool : tools) {
    prompt.text("\n{\"type\": \"function\", \"function\": ");
    prompt.text(tool.function);
    prompt.text("}");
  }
  prompt.markup(
      "\n</tools>\n\nFor each function call, return a json object with function name and arguments "
      "within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, "
      "\"arguments\": <args-json-object>}\n</tool_call>");
}

void put_system(Prompt& prompt, const Request& request) {
  const std::vector<Message>& messages = request.dialogue.messages;
  const bool given = !messages.empty() && messages.front().role == Role::system;
  const std::string& system = given ? messages.front().content : request.options.default_system;
  if (!given && system.empty() && request.dialogue.tools.empty()) {
    return;
  }
  open_turn(prompt, Role::system);
  prompt.text(system);
  if (!request.dialogue.tools.empty()) {
    prompt.text(system.empty() ? "" : "\n\n");
    put_tools(prompt, request.dialogue.tools);
  }
  close_turn(prompt);
}

void put_calls(Prompt& prompt, const Message& message) {
  bool separated = message.content.empty();
  for (const ToolCall& call : message.tool_calls) {
    prompt.text(separated ? "" : "\n");
    separated = false;
    prompt.special("<tool_call>");
    prompt.text("\n{\"name\": ");
    prompt.text(json_quoted(call.name));
    prompt.text(", \"arguments\": ");
    prompt.text(call.arguments.empty() ? "{}" : call.arguments);
    prompt.text("}\n");
    prompt.special("</tool_call>");
  }
}

void put_assistant(Prompt& prompt, const Request& request, const Message& message, bool current) {
  if (message.prefix) {
    put_continued(prompt, request.thinking, message, {"\n", "\n", "\n\n"});
    return;
  }
  // Qwen 3 remembers its thoughts only since the last question.
  if (request.generation == Generation::qwen3 && current && !message.reasoning_content.empty()) {
    prompt.special(kThinkOpen);
    prompt.text("\n");
    prompt.text(message.reasoning_content);
    prompt.text("\n");
    prompt.special(kThinkClose);
    prompt.text("\n\n");
  }
  prompt.text(message.content);
  put_calls(prompt, message);
}

}  // namespace

void encode_chatml(Prompt& prompt, const Request& request) {
  const std::vector<Message>& messages = request.dialogue.messages;
  const int last_user = last_user_index(messages);
  put_system(prompt, request);
  for (size_t i = 0; i < messages.size(); ++i) {
    const Message& message = messages[i];
    if (i == 0 && message.role == Role::system) {
      continue;
    }
    if (message.role == Role::tool) {
      const bool first = messages[i - 1].role != Role::tool;
      const bool last = i + 1 == messages.size() || messages[i + 1].role != Role::tool;
      if (first) {
        prompt.special(kStart);
        prompt.text("user");
      }
      prompt.text("\n<tool_response>\n");
      prompt.text(message.content);
      prompt.text("\n</tool_response>");
      if (last) {
        close_turn(prompt);
      }
      continue;
    }
    open_turn(prompt, message.role);
    if (message.role == Role::assistant) {
      put_assistant(prompt, request, message, static_cast<int>(i) > last_user);
    } else {
      prompt.text(message.content);
    }
    if (!message.prefix) {
      close_turn(prompt);
    }
  }
  if (request.options.add_generation_prompt && !request.continues()) {
    open_turn(prompt, Role::assistant);
    // Qwen 3 opens its thought itself; an empty one in the prompt keeps it from thinking.
    if (request.generation == Generation::qwen3 && !request.thinking) {
      prompt.special(kThinkOpen);
      prompt.text("\n\n");
      prompt.special(kThinkClose);
      prompt.text("\n\n");
    }
  }
}

void encode_llama3(Prompt& prompt, const Request& request) {
  const auto open = [&](std::string_view role) {
    prompt.special("<|start_header_id|>");
    prompt.text(role);
    prompt.special("<|end_header_id|>");
    prompt.text("\n\n");
  };
  prompt.special("<|begin_of_text|>");
  for (const Message& message : request.dialogue.messages) {
    if (!message.tool_calls.empty() || !request.dialogue.tools.empty()) {
      fail(ErrorKind::usage, "tools are not supported for generation llama3");
    }
    open(chatml_role(message.role));
    prompt.text(message.content);
    if (!message.prefix) {
      prompt.special("<|eot_id|>");
    }
  }
  if (request.options.add_generation_prompt && !request.continues()) {
    open("assistant");
  }
}

}  // namespace hadal::tokenizer
