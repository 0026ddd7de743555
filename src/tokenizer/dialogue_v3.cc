// V2 and the line from V2.5 to V3.1: special tokens for turns, a plain system text at the front.
#include "base/error.h"
#include "tokenizer/dialogue_prompt.h"

namespace hadal::tokenizer {
namespace {

constexpr std::string_view kCallsBegin = "<｜tool▁calls▁begin｜>";
constexpr std::string_view kCallsEnd = "<｜tool▁calls▁end｜>";
constexpr std::string_view kCallBegin = "<｜tool▁call▁begin｜>";
constexpr std::string_view kCallEnd = "<｜tool▁call▁end｜>";
constexpr std::string_view kSep = "<｜tool▁sep｜>";
constexpr std::string_view kOutputsBegin = "<｜tool▁outputs▁begin｜>";
constexpr std::string_view kOutputsEnd = "<｜tool▁outputs▁end｜>";
constexpr std::string_view kOutputBegin = "<｜tool▁output▁begin｜>";
constexpr std::string_view kOutputEnd = "<｜tool▁output▁end｜>";

// R1's recommended opening: without the line feed it now and then skips thinking.
constexpr ThoughtMarks kR1Marks = {"\n", "\n", "\n\n"};

// The tool section of the V2.5 model card, the only published one before V3.1.
void put_tools_v25(Prompt& prompt, const std::vector<Tool>& tools) {
  prompt.text("## Tools\n\n### Function\n\nYou have the following functions available:\n");
  for (const Tool& tool : tools) {
    prompt.text("\n- `");
    prompt.text(tool.name);
    prompt.text("`:\n```json\n");
    prompt.text(python_json(tool.function, "tool", 4));
    prompt.text("\n```\n");
  }
}

// The tool section of the V3.1 model card.
void put_tools_v31(Prompt& prompt, const std::vector<Tool>& tools) {
  prompt.text("## Tools\nYou have access to the following tools:\n\n");
  for (const Tool& tool : tools) {
    prompt.text("### ");
    prompt.text(tool.name);
    prompt.text("\nDescription: ");
    prompt.text(tool.description);
    prompt.text("\n\nParameters: ");
    prompt.text(tool.parameters);
    prompt.text("\n\n");
  }
  prompt.markup(
      "IMPORTANT: ALWAYS adhere to this exact format for tool use:\n"
      "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>tool_call_name<｜tool▁sep｜>tool_call_arguments"
      "<｜tool▁call▁end｜>{additional_tool_calls}<｜tool▁calls▁end｜>\n\n"
      "Where:\n"
      "- `tool_call_name` must be an exact match to one of the available tools\n"
      "- `tool_call_arguments` must be valid JSON that strictly follows the tool's Parameters "
      "Schema\n"
      "- For multiple tool calls, chain them directly without separators or spaces\n");
}

void put_front(Prompt& prompt, const Request& request) {
  prompt.special(kBos);
  const std::string system = joined_system(request.dialogue);
  prompt.text(system);
  if (request.dialogue.tools.empty()) {
    return;
  }
  if (!system.empty()) {
    prompt.text("\n\n");
  }
  if (request.generation == Generation::v31) {
    put_tools_v31(prompt, request.dialogue.tools);
  } else {
    put_tools_v25(prompt, request.dialogue.tools);
  }
}

void put_calls_v3(Prompt& prompt, const std::vector<ToolCall>& calls) {
  prompt.special(kCallsBegin);
  bool first = true;
  for (const ToolCall& call : calls) {
    prompt.text(first ? "" : "\n");
    first = false;
    prompt.special(kCallBegin);
    prompt.text("function");
    prompt.special(kSep);
    prompt.text(call.name);
    prompt.text("\n```json\n");
    prompt.text(call.arguments);
    prompt.text("\n```");
    prompt.special(kCallEnd);
  }
  prompt.special(kCallsEnd);
}

void put_calls_v31(Prompt& prompt, const std::vector<ToolCall>& calls) {
  prompt.special(kCallsBegin);
  for (const ToolCall& call : calls) {
    prompt.special(kCallBegin);
    prompt.text(call.name);
    prompt.special(kSep);
    prompt.text(call.arguments);
    prompt.special(kCallEnd);
  }
  prompt.special(kCallsEnd);
}

// Clients that do not separate reasoning send it within the content; earlier thoughts are dropped.
std::string_view without_thought(std::string_view content, bool up_to_last) {
  const size_t at = up_to_last ? content.rfind(kThinkClose) : content.find(kThinkClose);
  return at == std::string_view::npos ? content : content.substr(at + kThinkClose.size());
}

void reject_tools(const Request& request) {
  bool used = !request.dialogue.tools.empty();
  for (const Message& message : request.dialogue.messages) {
    used = used || !message.tool_calls.empty();
  }
  if (used) {
    fail(ErrorKind::usage, "a model of generation {} knows no tools",
         generation_name(request.generation));
  }
}

}  // namespace

void encode_v2(Prompt& prompt, const Request& request) {
  reject_tools(request);
  prompt.special(kBos);
  for (const Message& message : request.dialogue.messages) {
    if (message.role == Role::assistant) {
      prompt.text("Assistant: ");
      prompt.text(message.content);
      if (!message.prefix) {
        prompt.special(kEos);
      }
    } else {
      prompt.text(message.role == Role::user ? "User: " : "");
      prompt.text(message.content);
      prompt.text("\n\n");
    }
  }
  // No space behind the colon: " answer" carries its own in this vocabulary.
  if (request.options.add_generation_prompt && !request.continues()) {
    prompt.text("Assistant:");
  }
}

void encode_v3(Prompt& prompt, const Request& request) {
  const bool r1 = request.generation == Generation::r1;
  bool in_outputs = false;
  const auto close_outputs = [&] {
    if (in_outputs) {
      prompt.special(kOutputsEnd);
      in_outputs = false;
    }
  };
  put_front(prompt, request);
  for (const Message& message : request.dialogue.messages) {
    if (message.role == Role::user) {
      close_outputs();
      prompt.special(kUser);
      prompt.text(message.content);
    } else if (message.role == Role::tool) {
      if (in_outputs) {
        prompt.text("\n");
      } else {
        prompt.special(kOutputsBegin);
        in_outputs = true;
      }
      prompt.special(kOutputBegin);
      prompt.text(message.content);
      prompt.special(kOutputEnd);
    } else if (message.role == Role::assistant) {
      // An answer to tool results follows them directly, without a new turn.
      if (in_outputs) {
        close_outputs();
      } else {
        prompt.special(kAssistant);
      }
      if (message.prefix) {
        put_continued(prompt, r1, message, kR1Marks);
        continue;
      }
      prompt.text(r1 ? without_thought(message.content, true) : message.content);
      if (!message.tool_calls.empty()) {
        put_calls_v3(prompt, message.tool_calls);
      }
      prompt.special(kEos);
    }
  }
  if (in_outputs) {
    close_outputs();
  } else if (request.options.add_generation_prompt && !request.continues()) {
    prompt.special(kAssistant);
    if (r1) {
      prompt.special(kThinkOpen);
      prompt.text("\n");
    }
  }
}

void encode_v31(Prompt& prompt, const Request& request) {
  bool after_user = false;
  bool after_tool = false;
  put_front(prompt, request);
  for (const Message& message : request.dialogue.messages) {
    if (message.role == Role::user) {
      prompt.special(kUser);
      prompt.text(message.content);
      after_user = true;
      after_tool = false;
    } else if (message.role == Role::tool) {
      prompt.special(kOutputBegin);
      prompt.text(message.content);
      prompt.special(kOutputEnd);
      after_user = false;
      after_tool = true;
    } else if (message.role == Role::assistant) {
      const bool thinks = message.prefix && request.thinking;
      if (after_user) {
        prompt.special(kAssistant);
        if (!thinks) {
          prompt.special(kThinkClose);
        }
      }
      if (message.prefix) {
        put_continued(prompt, thinks && after_user, message, {});
        continue;
      }
      prompt.text(after_tool ? message.content : without_thought(message.content, false));
      if (!message.tool_calls.empty()) {
        put_calls_v31(prompt, message.tool_calls);
      }
      prompt.special(kEos);
      after_user = after_tool = false;
    }
  }
  if (request.options.add_generation_prompt && after_user && !request.continues()) {
    prompt.special(kAssistant);
    prompt.special(request.thinking ? kThinkOpen : kThinkClose);
  }
}

}  // namespace hadal::tokenizer
