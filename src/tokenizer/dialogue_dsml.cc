// V3.2 and V4: reasoning kept inside a tool loop, tools in DSML markup.
#include <algorithm>

#include "base/error.h"
#include "tokenizer/dialogue_prompt.h"

namespace hadal::tokenizer {
namespace {

// The wording is the published encoders': models were trained on exactly these lines.
constexpr std::string_view kToolsHeadV32 =
    "## Tools\n"
    "\n"
    "You have access to a set of tools you can use to answer the user's question.\n"
    "You can invoke functions by writing a \"<｜DSML｜function_calls>\" block like the "
    "following as part of your reply to the user:\n"
    "<｜DSML｜function_calls>\n"
    "<｜DSML｜invoke name=\"$FUNCTION_NAME\">\n"
    "<｜DSML｜parameter name=\"$PARAMETER_NAME\" "
    "string=\"true|false\">$PARAMETER_VALUE</｜DSML｜parameter>\n"
    "...\n"
    "</｜DSML｜invoke>\n"
    "<｜DSML｜invoke name=\"$FUNCTION_NAME2\">\n"
    "...\n"
    "</｜DSML｜invoke>\n"
    "</｜DSML｜function_calls>\n"
    "\n"
    "String and scalar parameters should be specified as is without any escaping or "
    "quotes, while lists and objects should use JSON format. The \"string\" attribute "
    "should be set to \"true\" for string type parameters and \"false\" for other types "
    "(numbers, booleans, arrays, objects).\n"
    "\n"
    "If the thinking_mode is enabled, then after function results you should strongly "
    "consider outputting a thinking block. Here is an example:\n"
    "\n"
    "<｜DSML｜function_calls>\n"
    "...\n"
    "</｜DSML｜function_calls>\n"
    "\n"
    "<function_results>\n"
    "...\n"
    "</function_results>\n"
    "\n"
    "<think>...thinking about results</think>\n"
    "\n"
    "Here are the functions available in JSONSchema format:\n"
    "<functions>\n";
constexpr std::string_view kToolsTailV32 = "\n</functions>\n";

constexpr std::string_view kToolsHeadV4 =
    "## Tools\n"
    "\n"
    "You have access to a set of tools to help answer the user's question. You can invoke "
    "tools by writing a \"<｜DSML｜tool_calls>\" block like the following:\n"
    "\n"
    "<｜DSML｜tool_calls>\n"
    "<｜DSML｜invoke name=\"$TOOL_NAME\">\n"
    "<｜DSML｜parameter name=\"$PARAMETER_NAME\" "
    "string=\"true|false\">$PARAMETER_VALUE</｜DSML｜parameter>\n"
    "...\n"
    "</｜DSML｜invoke>\n"
    "<｜DSML｜invoke name=\"$TOOL_NAME2\">\n"
    "...\n"
    "</｜DSML｜invoke>\n"
    "</｜DSML｜tool_calls>\n"
    "\n"
    "String parameters should be specified as is and set `string=\"true\"`. For all other "
    "types (numbers, booleans, arrays, objects), pass the value in JSON format and set "
    "`string=\"false\"`.\n"
    "\n"
    "If thinking_mode is enabled (triggered by <think>), you MUST output your complete "
    "reasoning inside <think>...</think> BEFORE any tool calls or final response.\n"
    "\n"
    "Otherwise, output directly after </think> with tool calls or final response.\n"
    "\n"
    "### Available Tool Schemas\n"
    "\n";
constexpr std::string_view kToolsTailV4 =
    "\n\nYou MUST strictly follow the above defined tool name and parameter schemas to invoke tool "
    "calls.\n";

constexpr std::string_view kMaxEffort =
    "Reasoning Effort: Absolute maximum with no shortcuts permitted.\n"
    "You MUST be very thorough in your thinking and comprehensively decompose the problem to "
    "resolve the root cause, rigorously stress-testing your logic against all potential paths, "
    "edge "
    "cases, and adversarial scenarios.\n"
    "Explicitly write out your entire deliberation process, documenting every intermediate step, "
    "considered alternative, and rejected hypothesis to ensure absolutely no assumption is left "
    "unchecked.\n\n";

void put_tools(Prompt& prompt, Generation generation, const std::vector<Tool>& tools) {
  const bool v32 = generation == Generation::v32;
  prompt.text("\n\n");
  prompt.markup(v32 ? kToolsHeadV32 : kToolsHeadV4);
  bool first = true;
  for (const Tool& tool : tools) {
    prompt.text(first ? "" : "\n");
    prompt.text(tool.function);
    first = false;
  }
  prompt.text(v32 ? kToolsTailV32 : kToolsTailV4);
}

void put_extras(Prompt& prompt, Generation generation, const Message& message) {
  if (!message.tools.empty()) {
    put_tools(prompt, generation, message.tools);
  }
  if (!message.response_format.empty()) {
    prompt.text(
        "\n\n## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n");
    prompt.text(python_json(message.response_format, "response_format"));
  }
}

void put_calls(Prompt& prompt, std::string_view block, const std::vector<ToolCall>& calls) {
  prompt.markup("\n\n<｜DSML｜");
  prompt.text(block);
  prompt.text(">");
  for (const ToolCall& call : calls) {
    prompt.markup("\n<｜DSML｜invoke name=\"");
    prompt.text(call.name);
    prompt.text("\">\n");
    bool first = true;
    for (const ToolArgument& argument : tool_arguments(call)) {
      prompt.markup(first ? "<｜DSML｜parameter name=\"" : "\n<｜DSML｜parameter name=\"");
      first = false;
      prompt.text(argument.name);
      prompt.text(argument.is_string ? "\" string=\"true\">" : "\" string=\"false\">");
      prompt.text(argument.value);
      prompt.markup("</｜DSML｜parameter>");
    }
    prompt.markup("\n</｜DSML｜invoke>");
  }
  prompt.markup("\n</｜DSML｜");
  prompt.text(block);
  prompt.text(">");
}

// The dialogue's tools go to the first system message; one is made if there is none.
std::vector<Message> with_tools_placed(const Dialogue& dialogue) {
  std::vector<Message> messages = dialogue.messages;
  if (!dialogue.tools.empty()) {
    if (messages.empty() || messages.front().role != Role::system) {
      Message system;
      system.role = Role::system;
      messages.insert(messages.begin(), system);
    }
    std::vector<Tool>& tools = messages.front().tools;
    tools.insert(tools.end(), dialogue.tools.begin(), dialogue.tools.end());
  }
  return messages;
}

// Developer messages belong to one search task each; they go together with its reasoning.
void drop_old_developer(std::vector<Message>& messages) {
  int left = last_user_index(messages);
  std::erase_if(messages,
                [&](const Message& m) { return left-- > 0 && m.role == Role::developer; });
}

std::string_view think_token(bool open) {
  return open ? kThinkOpen : kThinkClose;
}

// ---- V3.2 ----

struct V32State {
  size_t results_left = 0;
  size_t results_done = 0;
};

void put_result_v32(Prompt& prompt, const Message& message, V32State& state, bool open_thought) {
  if (state.results_done++ == 0) {
    prompt.text("\n\n<function_results>");
  }
  prompt.text("\n<result>");
  prompt.text(message.content);
  prompt.text("</result>");
  if (--state.results_left == 0) {
    prompt.text("\n</function_results>\n\n");
    prompt.special(think_token(open_thought));
  }
}

// ---- V4 ----

std::string_view task_token(const std::string& task) {
  constexpr std::pair<std::string_view, std::string_view> kTasks[] = {
      {"action", "<｜action｜>"}, {"query", "<｜query｜>"}, {"authority", "<｜authority｜>"},
      {"domain", "<｜domain｜>"}, {"title", "<｜title｜>"}, {"read_url", "<｜read_url｜>"}};
  for (const auto& [name, token] : kTasks) {
    if (task == name) {
      return token;
    }
  }
  fail(ErrorKind::usage,
       "unknown task '{}'; known are action, query, authority, domain, title, read_url", task);
}

// V4 has no tool role: results stand in user turns, and neighbouring messages of one side are one
// turn. Blocks of a user turn are joined by blank lines.
struct TurnV4 {
  Message message;
  std::vector<std::string> blocks;  // user turns
};

void join(std::string& target, const std::string& more) {
  if (!target.empty() && !more.empty()) {
    target += "\n\n";
  }
  target += more;
}

std::vector<TurnV4> merged_turns(const std::vector<Message>& messages) {
  std::vector<TurnV4> turns;
  for (const Message& message : messages) {
    const Message* last = turns.empty() ? nullptr : &turns.back().message;
    if (message.role == Role::user || message.role == Role::tool) {
      const bool tool = message.role == Role::tool;
      const bool joins = last != nullptr && last->role == Role::user && last->task.empty();
      if (!joins) {
        turns.push_back({message, {}});
        turns.back().message.role = Role::user;
      } else if (!message.task.empty()) {
        turns.back().message.task = message.task;
      }
      turns.back().blocks.push_back(tool ? "<tool_result>" + message.content + "</tool_result>"
                                         : message.content);
    } else if (message.role == Role::assistant && last != nullptr &&
               last->role == Role::assistant && last->task.empty()) {
      Message& target = turns.back().message;
      join(target.content, message.content);
      join(target.reasoning_content, message.reasoning_content);
      target.tool_calls.insert(target.tool_calls.end(), message.tool_calls.begin(),
                               message.tool_calls.end());
      target.task = message.task;
      target.prefix = message.prefix;
    } else {
      turns.push_back({message, {}});
    }
  }
  return turns;
}

void put_body_v4(Prompt& prompt, const TurnV4& turn, bool with_thought, bool task_output) {
  const Message& message = turn.message;
  switch (message.role) {
    case Role::user:
      prompt.special(kUser);
      for (size_t i = 0; i < turn.blocks.size(); ++i) {
        prompt.text(i == 0 ? "" : "\n\n");
        prompt.text(turn.blocks[i]);
      }
      return;
    case Role::developer:
      if (message.content.empty()) {
        fail(ErrorKind::usage, "a developer message must not be empty");
      }
      prompt.special(kUser);
      [[fallthrough]];
    case Role::system:
      prompt.text(message.content);
      put_extras(prompt, Generation::v4, message);
      return;
    case Role::latest_reminder:
      prompt.special("<｜latest_reminder｜>");
      prompt.text(message.content);
      return;
    case Role::tool:  // merged into user turns
    case Role::assistant:
      break;
  }
  if (with_thought && !task_output) {
    prompt.text(message.reasoning_content);
    if (message.prefix && message.content.empty()) {
      return;  // the thought itself is to be continued
    }
    prompt.special(kThinkClose);
  }
  prompt.text(message.content);
  if (!message.tool_calls.empty()) {
    put_calls(prompt, "tool_calls", message.tool_calls);
  }
  if (!message.prefix) {
    prompt.special(kEos);
  }
}

}  // namespace

void encode_v32(Prompt& prompt, const Request& request) {
  std::vector<Message> messages = with_tools_placed(request.dialogue);
  if (request.thinking && request.options.drop_thinking) {
    drop_old_developer(messages);
  }
  const int last_user = last_user_index(messages);
  V32State state;
  prompt.special(kBos);
  for (size_t i = 0; i < messages.size(); ++i) {
    const Message& message = messages[i];
    const bool current = static_cast<int>(i) >= last_user;
    if (message.role == Role::system || message.role == Role::latest_reminder) {
      prompt.text(message.content);
      put_extras(prompt, request.generation, message);
    } else if (message.role == Role::user || message.role == Role::developer) {
      prompt.special(kUser);
      if (message.role == Role::developer) {
        put_extras(prompt, request.generation, message);
        prompt.text("\n\n# The user's message is: ");
      }
      prompt.text(message.content);
      if (i + 1 < messages.size() || request.options.add_generation_prompt) {
        prompt.special(kAssistant);
        prompt.special(think_token(request.thinking && current));
      }
    } else if (message.role == Role::tool) {
      put_result_v32(prompt, message, state, request.thinking && current);
    } else {
      if (request.thinking && current) {
        prompt.text(message.reasoning_content);
        if (message.prefix && message.content.empty()) {
          continue;
        }
        prompt.special(kThinkClose);
      }
      prompt.text(message.content);
      if (!message.tool_calls.empty()) {
        put_calls(prompt, "function_calls", message.tool_calls);
      }
      state = {message.tool_calls.size(), 0};
      if (!message.prefix) {
        prompt.special(kEos);
      }
    }
  }
}

void encode_v4(Prompt& prompt, const Request& request) {
  std::vector<Message> messages = with_tools_placed(request.dialogue);
  const bool any_tools = std::any_of(messages.begin(), messages.end(),
                                     [](const Message& m) { return !m.tools.empty(); });
  // A tool loop needs its earlier thoughts, so tools keep them all.
  const bool drop = request.options.drop_thinking && !any_tools;
  std::vector<TurnV4> turns = merged_turns(messages);
  std::vector<Message> heads;
  for (const TurnV4& turn : turns) {
    heads.push_back(turn.message);
  }
  int last_user = last_user_index(heads);
  if (request.thinking && drop) {
    int left = last_user;
    std::erase_if(turns, [&](const TurnV4& turn) {
      const bool old = left-- > 0 && turn.message.role == Role::developer;
      last_user -= old ? 1 : 0;
      return old;
    });
  }
  prompt.special(kBos);
  if (request.thinking && request.options.effort == Effort::max) {
    prompt.text(kMaxEffort);
  }
  for (size_t i = 0; i < turns.size(); ++i) {
    const Message& message = turns[i].message;
    const bool last = i + 1 == turns.size();
    const bool keeps = request.thinking && (!drop || static_cast<int>(i) >= last_user);
    put_body_v4(prompt, turns[i], keeps, i > 0 && !turns[i - 1].message.task.empty());
    const Role next = last ? Role::assistant : turns[i + 1].message.role;
    if (next != Role::assistant && next != Role::latest_reminder) {
      continue;
    }
    if (!message.task.empty()) {
      if (message.task == "action") {
        prompt.special(kAssistant);
        prompt.special(think_token(request.thinking));
      }
      prompt.special(task_token(message.task));
    } else if (message.role == Role::user || message.role == Role::developer ||
               (message.role == Role::system && next == Role::assistant)) {
      if (!last || request.options.add_generation_prompt) {
        prompt.special(kAssistant);
        prompt.special(think_token(keeps));
      }
    }
  }
}

}  // namespace hadal::tokenizer
