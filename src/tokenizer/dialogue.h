// Dialogues to prompts, one hand-written encoder per model generation.
//
// An encoder emits pieces: plain text, which is tokenised without ever yielding a special token,
// and special tokens, which only the encoder can place. So text from a user, a tool or a file that
// spells "<｜User｜>" stays text. Neighbouring plain pieces are tokenised as one run, which gives
// the ids that a template's whole text would give. Facts: docs/dialogue.md.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/generation.h"
#include "tokenizer/tools.h"

namespace hadal::tokenizer {

class Tokenizer;

enum class Role { system, user, assistant, tool, developer, latest_reminder };

struct Message {
  Role role = Role::user;
  std::string content;
  std::string reasoning_content;     // assistant
  std::vector<ToolCall> tool_calls;  // assistant
  std::string tool_call_id;          // tool: the call it answers; empty = next in order
  std::vector<Tool> tools;           // V3.2, V4: system and developer messages may carry tools
  std::string response_format;       // V3.2, V4: JSON schema that the answer must follow
  std::string task;                  // V4: action, query, authority, domain, title, read_url
  bool prefix = false;               // last assistant message: to be continued, not closed
};

struct Dialogue {
  std::vector<Message> messages;
  std::vector<Tool> tools;  // belongs to the system text, whichever generation
};

enum class Effort { standard, max };

struct EncodeOptions {
  std::optional<bool> thinking;      // unset: the generation's default
  Effort effort = Effort::standard;  // max: V4 in thinking mode demands thoroughness up front
  bool drop_thinking = true;         // V3.2, V4: forget reasoning before the last user message
  bool add_generation_prompt = true;
  std::string default_system;  // ChatML: used when the dialogue begins without a system message
  // Asked for each run of plain text between special tokens: ids to be used instead of those that
  // encode() gives, for answers that a model spelt in its own way. Empty: never asked.
  std::function<std::optional<std::vector<int32_t>>(std::string_view run)> spelling;
};

struct Piece {
  std::string text;
  bool special = false;
};

// The prompt as pieces, neighbouring plain pieces joined. Throws Error(usage) for a dialogue that
// the generation cannot express: a tool result without its call, prefix on a message that is not
// the last, thinking wished from a model without it, arguments that are no JSON object.
std::vector<Piece> dialogue_pieces(Generation generation, const Dialogue& dialogue,
                                   const EncodeOptions& options);

// The prompt as text, special tokens spelt. For people and tests: encoding this text is unsafe.
std::string render_dialogue(Generation generation, const Dialogue& dialogue,
                            const EncodeOptions& options);

// The prompt as token ids. A special token that the vocabulary lacks (<think> in V3's) is encoded
// as the plain text it spells.
std::vector<int32_t> encode_dialogue(const Tokenizer& tokenizer, Generation generation,
                                     const Dialogue& dialogue, const EncodeOptions& options);

// Whether the generated text begins inside a thought, that is behind an open <think>.
bool starts_thinking(Generation generation, const Dialogue& dialogue, const EncodeOptions& options);

// JSON in OpenAI form: an array of messages, or {"messages": [...], "tools": [...]}. Content may be
// a string, null, or an array of text parts. Throws Error(usage) on unknown roles, wrong types,
// image parts.
Dialogue dialogue_from_json(std::string_view json);

}  // namespace hadal::tokenizer
