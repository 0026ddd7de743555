#include "tokenizer/dialogue.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "tokenizer/dialogue_prompt.h"

namespace hadal::tokenizer {
namespace {

// Special tokens that fixed template text may spell.
constexpr std::array<std::string_view, 10> kMarkupTokens = {
    kThinkOpen,
    kThinkClose,
    kDsml,
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁calls▁end｜>",
    "<｜tool▁call▁begin｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁sep｜>",
    "<tool_call>",
    "</tool_call>",
};

bool is_tool(const Message& message) {
  return message.role == Role::tool;
}

// The place of a tool result among the calls it answers, given how many results stand before it.
size_t call_index(const Message& caller, const Message& result, size_t results_before) {
  if (result.tool_call_id.empty()) {
    return results_before;
  }
  for (size_t i = 0; i < caller.tool_calls.size(); ++i) {
    if (caller.tool_calls[i].id == result.tool_call_id) {
      return i;
    }
  }
  fail(ErrorKind::usage,
       "messages: tool_call_id '{}' names no call of the assistant message before",
       result.tool_call_id);
}

// Puts the tool results behind message `caller` into the order of its calls. Returns their count.
size_t order_results(std::vector<Message>& messages, size_t caller) {
  const auto first = messages.begin() + static_cast<std::ptrdiff_t>(caller) + 1;
  const auto last = std::find_if_not(first, messages.end(), is_tool);
  const auto count = static_cast<size_t>(last - first);
  const size_t calls = messages[caller].tool_calls.size();
  if (count != 0 && count != calls) {
    fail(ErrorKind::usage, "messages[{}] makes {} tool calls, but {} results follow", caller, calls,
         count);
  }
  std::vector<Message> ordered(count);
  std::vector<bool> taken(count, false);
  for (size_t i = 0; i < count; ++i) {
    Message& result = *(first + static_cast<std::ptrdiff_t>(i));
    const size_t place = call_index(messages[caller], result, i);
    if (taken[place]) {
      fail(ErrorKind::usage, "messages[{}]: a tool call has two results", caller);
    }
    taken[place] = true;
    ordered[place] = std::move(result);
  }
  std::move(ordered.begin(), ordered.end(), first);
  return count;
}

// Checks what no generation can express and brings tool results into the order of their calls.
Dialogue normalised(const Dialogue& dialogue) {
  Dialogue out = dialogue;
  std::vector<Message>& messages = out.messages;
  for (size_t i = 0; i < messages.size(); ++i) {
    const Message& message = messages[i];
    if (message.prefix && (i + 1 != messages.size() || message.role != Role::assistant)) {
      fail(ErrorKind::usage, "messages[{}]: prefix is only for a last assistant message", i);
    }
    if (message.prefix && !message.tool_calls.empty()) {
      fail(ErrorKind::usage, "messages[{}]: a message to be continued cannot have tool calls", i);
    }
    if (message.role != Role::assistant && !message.tool_calls.empty()) {
      fail(ErrorKind::usage, "messages[{}]: only an assistant message can have tool_calls", i);
    }
    if (message.role == Role::tool) {
      fail(ErrorKind::usage, "messages[{}]: a tool result must follow the tool calls it answers",
           i);
    }
    if (!message.tool_calls.empty()) {
      i += order_results(messages, i);
    }
  }
  return out;
}

void encode(Prompt& prompt, const Request& request) {
  switch (request.generation) {
    case Generation::v2:
      return encode_v2(prompt, request);
    case Generation::v25:
    case Generation::v3:
    case Generation::r1:
      return encode_v3(prompt, request);
    case Generation::v31:
      return encode_v31(prompt, request);
    case Generation::v32:
      return encode_v32(prompt, request);
    case Generation::v4:
      return encode_v4(prompt, request);
    case Generation::chatml:
    case Generation::qwen3:
      return encode_chatml(prompt, request);
    case Generation::llama3:
      return encode_llama3(prompt, request);
  }
}

}  // namespace

void Prompt::text(std::string_view text) {
  if (text.empty()) {
    return;
  }
  if (pieces_.empty() || pieces_.back().special) {
    pieces_.push_back({});
  }
  pieces_.back().text += text;
}

void Prompt::special(std::string_view token) {
  pieces_.push_back({std::string(token), true});
}

void Prompt::markup(std::string_view text_with_tokens) {
  std::string_view rest = text_with_tokens;
  while (!rest.empty()) {
    size_t at = std::string_view::npos;
    std::string_view found;
    for (std::string_view token : kMarkupTokens) {
      const size_t position = rest.find(token);
      if (position < at) {
        at = position;
        found = token;
      }
    }
    text(rest.substr(0, at));
    if (found.empty()) {
      return;
    }
    special(found);
    rest.remove_prefix(at + found.size());
  }
}

std::string joined_system(const Dialogue& dialogue) {
  std::string out;
  bool first = true;
  for (const Message& message : dialogue.messages) {
    if (message.role == Role::system || message.role == Role::developer) {
      out += first ? "" : "\n\n";
      out += message.content;
      first = false;
    }
  }
  return out;
}

int last_user_index(const std::vector<Message>& messages) {
  for (size_t i = messages.size(); i > 0; --i) {
    const Role role = messages[i - 1].role;
    if (role == Role::user || role == Role::developer) {
      return static_cast<int>(i - 1);
    }
  }
  return -1;
}

void put_continued(Prompt& prompt, bool thinking, const Message& message, ThoughtMarks marks) {
  if (thinking) {
    prompt.special(kThinkOpen);
    prompt.text(marks.after_open);
    prompt.text(message.reasoning_content);
    if (message.content.empty()) {
      return;
    }
    prompt.text(marks.before_close);
    prompt.special(kThinkClose);
    prompt.text(marks.after_close);
  }
  prompt.text(message.content);
}

std::vector<Piece> dialogue_pieces(Generation generation, const Dialogue& dialogue,
                                   const EncodeOptions& options) {
  const Dialogue checked = normalised(dialogue);
  Prompt prompt;
  encode(prompt, {generation, checked, options, resolve_thinking(generation, options.thinking)});
  return prompt.take();
}

std::string render_dialogue(Generation generation, const Dialogue& dialogue,
                            const EncodeOptions& options) {
  std::string out;
  for (const Piece& piece : dialogue_pieces(generation, dialogue, options)) {
    out += piece.text;
  }
  return out;
}

bool starts_thinking(Generation generation, const Dialogue& dialogue,
                     const EncodeOptions& options) {
  const std::vector<Piece> pieces = dialogue_pieces(generation, dialogue, options);
  const auto last = std::find_if(pieces.rbegin(), pieces.rend(),
                                 [](const Piece& piece) { return piece.special; });
  return last != pieces.rend() && last->text == kThinkOpen;
}

}  // namespace hadal::tokenizer
