// The state machine under StreamParser, free of vocabularies: it takes bytes and markers.
//
// Inside, a marker is one byte that valid UTF-8 never contains, so one scanner finds markup whether
// it arrives as a token or as text; incoming bytes are made valid UTF-8 first (U+FFFD for what is
// not), so text cannot forge a marker.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/generation.h"

namespace hadal::tokenizer {

struct StreamEvent {
  enum class Kind { reasoning, content, call_begin, call_arguments, call_end };
  Kind kind = Kind::content;
  std::string text;   // the delta; call_begin: the function's name
  size_t call = 0;    // call_*: index of the tool call
  bool valid = true;  // call_end: whether the arguments are a whole JSON object
};

// Special tokens with a meaning in generated text.
enum class Marker : uint8_t {
  think_open,
  think_close,
  dsml,
  calls_begin,
  calls_end,
  call_begin,
  call_end,
  sep,
  tool_open,   // ChatML's <tool_call>
  tool_close,  // ChatML's </tool_call>
  end,         // end of text or of turn: nothing behind it counts
  other,       // any other special token: never shown
};
inline constexpr size_t kMarkerCount = 12;

// The token's text, empty for `end` and `other`, which stand for several.
std::string_view marker_text(Marker marker);

// Makes a byte stream valid UTF-8 piece by piece: incomplete sequences wait, broken ones become
// U+FFFD, independent of how the stream is cut.
class Utf8Buffer {
 public:
  void push(std::string_view bytes, std::string& out);
  void flush(std::string& out);

 private:
  std::string partial_;
};

class MarkupParser {
 public:
  // `is_token[m]`: the vocabulary has marker m as a token, so its spelling is ordinary text.
  MarkupParser(Generation generation, bool starts_thinking,
               const std::array<bool, kMarkerCount>& is_token);

  std::vector<StreamEvent> push_text(std::string_view bytes);
  std::vector<StreamEvent> push_marker(Marker marker);
  std::vector<StreamEvent> finish();
  bool in_reasoning() const { return state_ == State::reasoning; }

 private:
  enum class State {
    reasoning,
    content,
    calls,         // between <｜tool▁calls▁begin｜> and its end, outside a call
    header,        // V3: "function"; V3.1: the name; up to <｜tool▁sep｜>
    name_line,     // V3: the name up to the line feed
    fence_line,    // V3: "```json"
    arguments,     // up to <｜tool▁call▁end｜>
    fence_closed,  // V3: behind "\n```", which may yet turn out to belong to the arguments
    json_call,     // ChatML: {"name": ..., "arguments": ...}
    tag,           // DSML: between "<｜DSML｜" and ">"
    block,         // DSML: inside a block, outside parameters
    value,         // DSML: a parameter's value
    done,
  };
  enum class Sign {
    none,
    think_open,
    think_close,
    calls_begin,
    calls_end,
    call_begin,
    call_end,
    sep,
    tool_open,
    tool_close,
    end,
    tag_open,
    tag_close,
    parameter_end,
    line,
    fence,
  };
  struct Pattern {
    std::string text;
    Sign sign;
    bool only_at_start = false;
  };

  std::vector<StreamEvent> drain(bool final);
  bool step(bool final);
  bool leave_fence();
  std::vector<Pattern> patterns() const;
  void add_call_patterns(std::vector<Pattern>& out) const;
  std::string spelling(Marker marker) const;
  bool textual(Marker marker) const;
  void take_text(std::string text);
  void take_sign(Sign sign);
  bool take_call_sign(Sign sign);
  bool read_tag(bool final);
  void take_tag(std::string_view tag);
  void set_state(State state);

  void emit(StreamEvent::Kind kind, std::string_view text);
  void put_reasoning(std::string_view text);
  void put_content(std::string_view text);
  void begin_call(std::string_view name);
  void put_arguments(std::string_view text);
  // `closed`: by its own markup; false when the text merely stops.
  void end_call(bool closed);
  void begin_parameter(std::string_view tag);
  void end_parameter();
  void end_json_call();

  Generation generation_;
  std::array<bool, kMarkerCount> is_token_;
  bool trims_;  // R1, Qwen 3: line feeds around thoughts belong to the form
  State state_;
  State tag_return_ = State::content;
  std::vector<StreamEvent> events_;
  Utf8Buffer utf8_;
  std::string pending_;  // valid UTF-8 and marker bytes, not yet understood
  std::string buffer_;   // header, name, fence, JSON value or ChatML call under collection
  std::string held_;     // trailing white space of a thought or of arguments
  std::string arguments_;
  std::vector<std::string> parameters_;  // names seen in the current DSML call
  size_t calls_ = 0;
  bool call_open_ = false;
  bool call_dsml_ = false;
  bool parameter_string_ = false;
  bool parameter_ignored_ = false;
  bool at_start_ = true;  // nothing but white space since the state began
  bool skip_space_;       // line feeds that belong to the form, not to the text
};

}  // namespace hadal::tokenizer
