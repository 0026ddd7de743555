// A dialogue on top of the engine: keeps the messages, encodes them for every turn in the form the
// model was trained on, and streams reasoning, content and tool calls of the answer.
//
// Every turn encodes the whole dialogue again. What the prefix cache still holds of it costs
// nothing; the last answer is computed again as part of the prompt (docs/engine.md says why).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "infer/engine.h"
#include "infer/request.h"
#include "tokenizer/dialogue.h"
#include "tokenizer/stream_markup.h"

namespace hadal::infer {

struct ChatOptions {
  std::optional<tokenizer::Generation> generation;  // unset: the model's own
  tokenizer::EncodeOptions encode;  // thinking, effort; default_system unset: the model's own
  SamplingParams sampling;
  int64_t max_tokens = -1;
  int64_t thinking_budget = -1;  // tokens; negative: no bound
  std::vector<std::string> stop;
  uint64_t owner = 0;
};

struct ChatAnswer {
  tokenizer::Message message;  // role assistant: content, reasoning_content, tool_calls
  FinishReason reason = FinishReason::stop;
  RequestStats stats;
  std::vector<int32_t> tokens;
};

// What on_event of Chat::answer sees: pieces of the answer, and how far the prompt is.
struct ChatEvent {
  enum class Kind { prompt, delta };
  Kind kind = Kind::delta;
  int64_t prompt_done = 0, prompt_tokens = 0;  // prompt
  tokenizer::StreamEvent delta;
};

class Chat {
 public:
  // The engine must outlive the chat, which has it for itself while it answers. Throws
  // Error(unsupported) if the model has no tokenizer, or neither it nor options name a generation;
  // Error(usage) if the generation cannot think as options wish.
  Chat(Engine& engine, const ChatOptions& options);

  tokenizer::Dialogue& dialogue() { return dialogue_; }  // to change, save and load between answers
  const tokenizer::Dialogue& dialogue() const { return dialogue_; }
  ChatOptions& options() { return options_; }  // for the next answer
  tokenizer::Generation generation() const;
  void add_user(std::string text);
  // Replaces the system text, "" removes it.
  void set_system(std::string text);

  // The prompt of the next answer. Throws Error(usage) for dialogues that the form cannot express.
  std::vector<int32_t> prompt() const;

  // Answers the dialogue as it stands and appends the answer to it, also one that was cut off.
  // on_event: false stops the answer (FinishReason::cancelled); it is called on this thread. Throws
  // as Engine::submit; then the dialogue is unchanged.
  ChatAnswer answer(const std::function<bool(const ChatEvent&)>& on_event = {});

 private:
  tokenizer::EncodeOptions encode_options() const;

  Engine& engine_;
  ChatOptions options_;
  tokenizer::Dialogue dialogue_;
};

// How the engine recognises thoughts of a generation in a model's vocabulary. starts_inside as
// tokenizer::starts_thinking says.
Thinking thinking_markers(const tokenizer::Tokenizer& tokenizer, tokenizer::Generation generation,
                          bool starts_inside);

}  // namespace hadal::infer
