// An engine on a tiny random model, with a tokenizer of single characters.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "infer/engine.h"
#include "unit/model/tiny_model.h"

namespace hadal::testing {

constexpr int32_t tiny_eos = 0, tiny_think = 1, tiny_think_end = 2;
constexpr int32_t tiny_first_text = 3;

// Ids 0 to 2 are special, the others printable ASCII from '!' on.
inline tokenizer::Tokenizer tiny_tokenizer() {
  static const std::vector<std::string> texts = [] {
    std::vector<std::string> all = {"<eos>", "<think>", "</think>"};
    for (char c = '!'; all.size() < 96; ++c) all.emplace_back(1, c);
    return all;
  }();
  tokenizer::TokenizerParts parts;
  parts.pre = "gpt-2";
  for (const std::string& text : texts) {
    parts.tokens.emplace_back(text);
    parts.types.push_back(parts.tokens.size() <= 3 ? 3 : 1);
  }
  parts.eos_id = tiny_eos;
  return tokenizer::Tokenizer::from_parts(parts, "tiny");
}

inline infer::LoadedModel tiny_loaded(const TinyOptions& options = {}) {
  infer::LoadedModel loaded;
  loaded.model = tiny_model(options);
  loaded.tokenizer = tiny_tokenizer();
  loaded.name = "tiny";
  loaded.stop_ids = {tiny_eos};
  return loaded;
}

// All that a client sees of one answer, log-probabilities to the bit.
struct Answer {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  std::string text;
  infer::FinishReason reason = infer::FinishReason::error;
  std::string message;
  infer::RequestStats stats;
  bool finished = false;

  void take(const infer::Event& event) {
    using Kind = infer::Event::Kind;
    if (event.kind == Kind::token || event.kind == Kind::partial) {
      tokens.push_back(event.token);
      logprobs.push_back(event.logprob);
      for (const auto& top : event.top) {
        tokens.push_back(top.token);
        logprobs.push_back(top.logprob);
      }
      text += event.text;
    }
    if (event.kind != Kind::finish) return;
    finished = true;
    reason = event.reason;
    message = event.text;
    stats = event.stats;
  }
  bool operator==(const Answer& other) const {
    return tokens == other.tokens && logprobs == other.logprobs && text == other.text &&
           reason == other.reason;
  }
};

// Submits all at once and steps until everything is done.
inline std::vector<Answer> answer_all(infer::Engine& engine,
                                      const std::vector<infer::Request>& requests) {
  std::vector<uint64_t> ids;
  for (const infer::Request& request : requests) ids.push_back(engine.submit(request));
  std::vector<Answer> answers(requests.size());
  while (!engine.idle())
    for (const infer::Event& event : engine.step())
      answers[static_cast<size_t>(std::find(ids.begin(), ids.end(), event.id) - ids.begin())].take(
          event);
  return answers;
}

inline infer::Request tiny_request(uint64_t seed, int64_t prompt, int64_t max_tokens) {
  infer::Request request;
  request.prompt = tiny_tokens(seed, prompt);
  request.max_tokens = max_tokens;
  request.sampling.seed = seed;
  request.sampling.logprobs = 0;
  return request;
}

}  // namespace hadal::testing
