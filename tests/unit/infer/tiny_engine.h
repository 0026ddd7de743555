// An engine on a tiny random model, with a tokenizer of single bytes.
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

constexpr int64_t tiny_vocab = tiny_first_text + 256 + 1;  // the last id has no token

// Ids 0 to 2 are special, then come the bytes, spelt as GPT-2's alphabet does.
inline tokenizer::Tokenizer tiny_tokenizer() {
  static const std::vector<std::string> texts = [] {
    std::vector<std::string> all = {"<eos>", "<think>", "</think>"};
    int32_t hidden = 256;
    for (int32_t byte = 0; byte < 256; ++byte) {
      const bool shown = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
      const int32_t code = shown ? byte : hidden++;
      if (code < 128)
        all.emplace_back(1, static_cast<char>(code));
      else
        all.push_back({static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 63))});
    }
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

inline infer::LoadedModel tiny_loaded(TinyOptions options = {}) {
  options.vocab = tiny_vocab;
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
