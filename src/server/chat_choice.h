// One choice of a dialogue's answer, from tokens to reasoning, content and tool calls: what the
// writers of all dialogue shapes have in common.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "server/writer.h"

namespace hadal::server {

class ChatChoice {
 public:
  explicit ChatChoice(const WriterHead& head)
      : head_(head), parser_(*head.tokenizer, head.generation, head.starts_thinking) {}

  // The deltas that the event settles.
  std::vector<tokenizer::StreamEvent> take(const infer::Event& event) {
    using Kind = infer::Event::Kind;
    if (event.kind == Kind::token && head_.logprobs && !head_.tokenizer->is_special(event.token)) {
      std::string& list = event.reasoning ? reasoning_logprobs_ : content_logprobs_;
      if (!list.empty()) list += ',';
      list += logprob_json(*head_.tokenizer, event);
    }
    std::vector<tokenizer::StreamEvent> deltas;
    if (event.kind == Kind::token) deltas = parser_.push(event.token);
    if (event.kind == Kind::partial) deltas = parser_.push_text(event.text);
    if (event.kind == Kind::finish) {
      deltas = parser_.finish();
      reason = event.reason;
      stop = event.stop;
    }
    using Delta = tokenizer::StreamEvent::Kind;
    for (const auto& delta : deltas) {
      has_calls |= delta.kind == Delta::call_begin;
      // Nobody should run a call that a stop string cut.
      if (!stop.empty() && delta.kind == Delta::call_end && !delta.valid) has_calls = false;
    }
    return deltas;
  }

  // The log-probabilities that no chunk has carried yet: {"content":[...],...} or null.
  std::string take_logprobs() {
    if (!head_.logprobs || (content_logprobs_.empty() && reasoning_logprobs_.empty()))
      return "null";
    std::string out = "{\"content\":[" + std::exchange(content_logprobs_, "") + "]";
    if (!reasoning_logprobs_.empty())
      out += ",\"reasoning_content\":[" + std::exchange(reasoning_logprobs_, "") + "]";
    return out + "}";
  }

  bool has_calls = false;  // which the answer ends with
  infer::FinishReason reason = infer::FinishReason::stop;
  std::string stop;  // the stop string that was met

 private:
  const WriterHead& head_;
  tokenizer::StreamParser parser_;
  std::string content_logprobs_, reasoning_logprobs_;
};

}  // namespace hadal::server
