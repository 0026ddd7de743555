#include "infer/chat.h"

#include <utility>

#include "base/error.h"
#include "tokenizer/stream_parser.h"

namespace hadal::infer {
namespace {

using tokenizer::Generation;
using tokenizer::StreamEvent;
using tokenizer::Tokenizer;

// What belongs behind a thought's end that the model did not write itself.
std::string_view after_thought(Generation generation) {
  return generation == Generation::r1 || generation == Generation::qwen3 ? "\n\n" : "";
}

// Gathers the pieces of an answer into a message.
class MessageBuilder {
 public:
  void take(const StreamEvent& event) {
    switch (event.kind) {
      case StreamEvent::Kind::reasoning:
        message_.reasoning_content += event.text;
        break;
      case StreamEvent::Kind::content:
        message_.content += event.text;
        break;
      case StreamEvent::Kind::call_begin:
        message_.tool_calls.push_back({});
        message_.tool_calls.back().name = event.text;
        break;
      case StreamEvent::Kind::call_arguments:
        message_.tool_calls.back().arguments += event.text;
        break;
      case StreamEvent::Kind::call_end:
        // Half a call cannot be encoded again, nor be carried out.
        if (!event.valid) message_.tool_calls.pop_back();
        break;
    }
  }
  tokenizer::Message finish() {
    message_.role = tokenizer::Role::assistant;
    return std::move(message_);
  }

 private:
  tokenizer::Message message_;
};

}  // namespace

Thinking thinking_markers(const Tokenizer& tokenizer, Generation generation, bool starts_inside) {
  Thinking thinking;
  if (tokenizer::thinking_support(generation) == tokenizer::ThinkingSupport::never &&
      !starts_inside)
    return thinking;
  constexpr std::string_view open = "<think>", close = "</think>";
  thinking.starts_inside = starts_inside;
  if (const auto id = tokenizer.special_id(open))
    thinking.open_id = *id;
  else
    thinking.open_text = open;
  const std::vector<int32_t> after = tokenizer.encode(after_thought(generation));
  if (const auto id = tokenizer.special_id(close)) {
    thinking.close_id = *id;
    thinking.close = {*id};
  } else {
    thinking.close_text = close;
    thinking.close = tokenizer.encode(close);
  }
  thinking.close.insert(thinking.close.end(), after.begin(), after.end());
  return thinking;
}

Chat::Chat(Engine& engine, const ChatOptions& options) : engine_(engine), options_(options) {
  require_tokenizer(engine.model());
  tokenizer::resolve_thinking(generation(), options.encode.thinking);
}

Generation Chat::generation() const {
  return options_.generation ? *options_.generation : require_style(engine_.model()).generation;
}

void Chat::add_user(std::string text) {
  tokenizer::Message message;
  message.role = tokenizer::Role::user;
  message.content = std::move(text);
  dialogue_.messages.push_back(std::move(message));
}

void Chat::set_system(std::string text) {
  std::vector<tokenizer::Message>& messages = dialogue_.messages;
  const bool has_system = !messages.empty() && messages.front().role == tokenizer::Role::system;
  if (text.empty()) {
    if (has_system) messages.erase(messages.begin());
    return;
  }
  if (!has_system) messages.insert(messages.begin(), tokenizer::Message{});
  messages.front().role = tokenizer::Role::system;
  messages.front().content = std::move(text);
}

tokenizer::EncodeOptions Chat::encode_options() const {
  tokenizer::EncodeOptions encode = options_.encode;
  const auto& style = engine_.model().style;
  if (!style) return encode;
  if (encode.default_system.empty()) encode.default_system = style->default_system;
  if (!encode.thinking && style->generation == generation()) encode.thinking = style->thinking;
  return encode;
}

std::vector<int32_t> Chat::prompt() const {
  return tokenizer::encode_dialogue(require_tokenizer(engine_.model()), generation(), dialogue_,
                                    encode_options());
}

ChatAnswer Chat::answer(const std::function<bool(const ChatEvent&)>& on_event) {
  const Tokenizer& tokenizer = require_tokenizer(engine_.model());
  const bool inside = tokenizer::starts_thinking(generation(), dialogue_, encode_options());
  Request request;
  request.prompt = prompt();
  request.sampling = options_.sampling;
  request.max_tokens = options_.max_tokens;
  request.stop = options_.stop;
  // The parser shows nothing behind these: going on would be for nothing.
  request.stop_ids = tokenizer::answer_end_ids(tokenizer);
  request.owner = options_.owner;
  request.thinking = thinking_markers(tokenizer, generation(), inside);
  request.thinking.budget = options_.thinking_budget;

  tokenizer::StreamParser parser(tokenizer, generation(), inside);
  MessageBuilder builder;
  bool go_on = true;
  const auto deliver = [&](const std::vector<StreamEvent>& deltas) {
    for (const StreamEvent& delta : deltas) {
      builder.take(delta);
      if (!on_event || !go_on) continue;
      ChatEvent event;
      event.delta = delta;
      go_on = on_event(event);
    }
  };
  GenerateResult result = engine_.generate(std::move(request), [&](const Event& event) {
    switch (event.kind) {
      case Event::Kind::progress:
        if (on_event) {
          ChatEvent told;
          told.kind = ChatEvent::Kind::prompt;
          told.prompt_done = event.prompt_done;
          told.prompt_tokens = event.stats.prompt_tokens;
          go_on = on_event(told);
        }
        break;
      case Event::Kind::token:
        deliver(parser.push(event.token));
        break;
      case Event::Kind::partial:
        deliver(parser.push_text(event.text));
        break;
      case Event::Kind::finish:
        deliver(parser.finish());
        break;
    }
    return go_on;
  });
  ChatAnswer answer;
  answer.reason = result.reason;
  answer.stats = result.stats;
  answer.tokens = std::move(result.tokens);
  answer.message = builder.finish();
  dialogue_.messages.push_back(answer.message);
  return answer;
}

}  // namespace hadal::infer
