// From generated token ids to reasoning, answer and tool calls.
//
// A special token acts by its id, so text that merely spells "</think>" stays text; where the
// vocabulary has no such token (V3's has no <think>), the spelling acts. However the same bytes and
// special tokens are cut into ids and calls, the joined events are the same.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/stream_markup.h"
#include "tokenizer/tokenizer.h"

namespace hadal::tokenizer {

class StreamParser {
 public:
  // The tokenizer must outlive the parser. `starts_thinking`: as starts_thinking() of dialogue.h
  // says of the prompt.
  StreamParser(const Tokenizer& tokenizer, Generation generation, bool starts_thinking);

  // Events that the next token of the answer settles; what may still become markup waits.
  std::vector<StreamEvent> push(int32_t id);
  // The same for text that is no whole token: what stands before a stop string.
  std::vector<StreamEvent> push_text(std::string_view bytes);
  // The answer is over: what waits comes out, an open tool call ends.
  std::vector<StreamEvent> finish();
  bool in_reasoning() const { return markup_.in_reasoning(); }

 private:
  const Tokenizer& tokenizer_;
  std::unordered_map<int32_t, Marker> markers_;  // special tokens that mean something
  MarkupParser markup_;
};

// The ids that end an answer: end of text or of turn, and the beginning of a foreign turn. Nothing
// behind one of them yields an event, so generation may stop there. Ascending.
std::vector<int32_t> answer_end_ids(const Tokenizer& tokenizer);

}  // namespace hadal::tokenizer
