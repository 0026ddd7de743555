// What the encoders of all generations share: a prompt under construction, and the dialogue after
// validation. Private to dialogue*.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/dialogue.h"

namespace hadal::tokenizer {

inline constexpr std::string_view kBos = "<｜begin▁of▁sentence｜>";
inline constexpr std::string_view kEos = "<｜end▁of▁sentence｜>";
inline constexpr std::string_view kUser = "<｜User｜>";
inline constexpr std::string_view kAssistant = "<｜Assistant｜>";
inline constexpr std::string_view kThinkOpen = "<think>";
inline constexpr std::string_view kThinkClose = "</think>";
inline constexpr std::string_view kDsml = "｜DSML｜";

class Prompt {
 public:
  // Text from outside: whatever it spells stays text.
  void text(std::string_view text);
  void special(std::string_view token);
  // Fixed text of a template, never from outside: the special tokens that it spells become such.
  void markup(std::string_view text);

  std::vector<Piece> take() { return std::move(pieces_); }

 private:
  std::vector<Piece> pieces_;
};

// A dialogue with the options resolved, as the encoders receive it.
struct Request {
  Generation generation;
  const Dialogue& dialogue;
  const EncodeOptions& options;
  bool thinking;

  // Whether the last message is an assistant's that the model shall continue.
  bool continues() const { return !dialogue.messages.empty() && dialogue.messages.back().prefix; }
};

// All system (and developer) messages joined by a blank line; V3 and its kin hoist them to the
// front.
std::string joined_system(const Dialogue& dialogue);

// The index of the last user or developer message, or -1.
int last_user_index(const std::vector<Message>& messages);

// What an assistant message that shall be continued puts behind its opening: in thinking mode the
// open thought, closed only where there is content behind it. The three strings are the template's.
struct ThoughtMarks {
  std::string_view after_open;
  std::string_view before_close;
  std::string_view after_close;
};
void put_continued(Prompt& prompt, bool thinking, const Message& message, ThoughtMarks marks);

void encode_v2(Prompt& prompt, const Request& request);
void encode_v3(Prompt& prompt, const Request& request);  // V2.5, V3, R1
void encode_v31(Prompt& prompt, const Request& request);
void encode_v32(Prompt& prompt, const Request& request);
void encode_v4(Prompt& prompt, const Request& request);
void encode_chatml(Prompt& prompt, const Request& request);  // and Qwen3
void encode_llama3(Prompt& prompt, const Request& request);

}  // namespace hadal::tokenizer
