// DeepSeek's chat completions, streamed and whole. The shapes are those of recorded traffic of the
// hosted API: docs/serve.md shows them.
#include <fmt/format.h>

#include "server/chat_choice.h"
#include "server/text.h"
#include "server/writer.h"

namespace hadal::server {
namespace {

using tokenizer::StreamEvent;

// Ids of calls as the hosted API makes them: the position, then something that is not repeated.
std::string call_id(size_t call) {
  return fmt::format("call_{:02}_{}", call, random_hex(12));
}

std::vector<ChatChoice> make_choices(const WriterHead& head, const Account& account) {
  std::vector<ChatChoice> choices;
  choices.reserve(account.stats.size());
  for (size_t i = 0; i < account.stats.size(); ++i) choices.emplace_back(head);
  return choices;
}

class ChatStreamWriter : public Writer {
 public:
  ChatStreamWriter(const WriterHead& head, const Account& account)
      : head_(head), account_(account), choices_(make_choices(head_, account)) {
    prefix_ = fmt::format(R"({{"id":{},"object":"chat.completion.chunk","created":{},"model":{},)"
                          R"("system_fingerprint":{},"choices":[)",
                          json_text(head.id), head.created, json_text(head.model),
                          json_text(head.fingerprint));
  }

  void begin(std::string& out) override {
    const char* delta = head_.thinking
                            ? R"({"role":"assistant","content":null,"reasoning_content":""})"
                            : R"({"role":"assistant","content":""})";
    for (size_t i = 0; i < choices_.size(); ++i) put(i, delta, "null", out);
  }

  void take(size_t choice, const infer::Event& event, std::string& out) override {
    ChatChoice& state = choices_[choice];
    for (const StreamEvent& delta : state.take(event)) {
      const std::string json = delta_json(delta);
      if (!json.empty()) put(choice, json, state.take_logprobs(), out);
    }
    if (event.kind == infer::Event::Kind::finish) put_last(choice, out);
  }

  void end(std::string& out) override {
    if (head_.usage_chunk) out += sse_data(prefix_ + "],\"usage\":" + usage_json(account_) + "}");
    out += sse_data("[DONE]");
  }

  void fail(const ApiError& error, std::string& out) override {
    out += sse_data(error_body(error, ApiShape::openai));
    out += sse_data("[DONE]");
  }

 private:
  std::string delta_json(const StreamEvent& event) const {
    switch (event.kind) {
      case StreamEvent::Kind::reasoning:
        return fmt::format(R"({{"content":null,"reasoning_content":{}}})", json_text(event.text));
      case StreamEvent::Kind::content:
        return fmt::format(R"({{"content":{}{}}})", json_text(event.text),
                           head_.thinking ? R"(,"reasoning_content":null)" : "");
      case StreamEvent::Kind::call_begin:
        return fmt::format(R"({{"tool_calls":[{{"index":{},"id":"{}","type":"function",)"
                           R"("function":{{"name":{},"arguments":""}}}}]}})",
                           event.call, call_id(event.call), json_text(event.text));
      case StreamEvent::Kind::call_arguments:
        return fmt::format(R"({{"tool_calls":[{{"index":{},"function":{{"arguments":{}}}}}]}})",
                           event.call, json_text(event.text));
      case StreamEvent::Kind::call_end:
        break;
    }
    return "";
  }

  void put(size_t choice, std::string_view delta, std::string_view logprobs, std::string& out) {
    out += fmt::format(
        "data: {}{{\"index\":{},\"delta\":{},\"logprobs\":{},\"finish_reason\":null}}],"
        "\"usage\":null}}\n\n",
        prefix_, choice, delta, logprobs);
  }

  void put_last(size_t choice, std::string& out) {
    ChatChoice& state = choices_[choice];
    const bool all = account_.unfinished == 0;
    std::string extras = all && account_.extras ? account_.extras() : "";
    if (!extras.empty()) extras = ",\"x_hadal\":" + extras;
    out += fmt::format(
        "data: {}{{\"index\":{},\"delta\":{{\"content\":\"\"{}}},\"logprobs\":{},"
        "\"finish_reason\":\"{}\"}}],\"usage\":{}{}}}\n\n",
        prefix_, choice, head_.thinking ? ",\"reasoning_content\":null" : "", state.take_logprobs(),
        finish_name(state.reason, state.has_calls), all ? usage_json(account_) : "null", extras);
  }

  const WriterHead head_;
  const Account& account_;
  std::vector<ChatChoice> choices_;
  std::string prefix_;
};

class ChatWholeWriter : public Writer {
 public:
  ChatWholeWriter(const WriterHead& head, const Account& account)
      : head_(head),
        account_(account),
        choices_(make_choices(head_, account)),
        messages_(choices_.size()) {}

  void take(size_t choice, const infer::Event& event, std::string&) override {
    Message& message = messages_[choice];
    for (const StreamEvent& delta : choices_[choice].take(event)) {
      switch (delta.kind) {
        case StreamEvent::Kind::reasoning:
          message.reasoning += delta.text;
          message.has_reasoning = true;
          break;
        case StreamEvent::Kind::content:
          message.content += delta.text;
          break;
        case StreamEvent::Kind::call_begin:
          message.calls.emplace_back(delta.text, "");
          break;
        case StreamEvent::Kind::call_arguments:
          message.calls.back().second += delta.text;
          break;
        case StreamEvent::Kind::call_end:
          break;
      }
    }
  }

  void end(std::string& out) override {
    std::string list;
    for (size_t i = 0; i < choices_.size(); ++i) {
      if (i > 0) list += ',';
      ChatChoice& state = choices_[i];
      const std::string logprobs = state.take_logprobs();
      list += fmt::format(R"({{"index":{},"message":{},"logprobs":{},"finish_reason":"{}"}})", i,
                          message_json(i), logprobs, finish_name(state.reason, state.has_calls));
    }
    std::string extras = account_.extras ? account_.extras() : "";
    if (!extras.empty()) extras = ",\"x_hadal\":" + extras;
    out += fmt::format(R"({{"id":{},"object":"chat.completion","created":{},"model":{},)"
                       R"("system_fingerprint":{},"choices":[{}],"usage":{}{}}})",
                       json_text(head_.id), head_.created, json_text(head_.model),
                       json_text(head_.fingerprint), list, usage_json(account_), extras);
  }

 private:
  struct Message {
    std::string content, reasoning;
    bool has_reasoning = false;
    std::vector<std::pair<std::string, std::string>> calls;  // name, arguments
  };

  std::string message_json(size_t choice) const {
    const Message& message = messages_[choice];
    std::string out = "{\"role\":\"assistant\",\"content\":" + json_text(message.content);
    if (head_.thinking || message.has_reasoning)
      out += ",\"reasoning_content\":" + json_text(message.reasoning);
    if (!message.calls.empty()) {
      out += ",\"tool_calls\":[";
      for (size_t i = 0; i < message.calls.size(); ++i) {
        out += fmt::format(
            R"({}{{"index":{},"id":"{}","type":"function","function":{{"name":{},"arguments":{}}}}})",
            i > 0 ? "," : "", i, call_id(i), json_text(message.calls[i].first),
            json_text(message.calls[i].second));
      }
      out += ']';
    }
    return out + "}";
  }

  const WriterHead head_;
  const Account& account_;
  std::vector<ChatChoice> choices_;
  std::vector<Message> messages_;
};

}  // namespace

std::unique_ptr<Writer> chat_stream_writer(const WriterHead& head, const Account& account) {
  return std::make_unique<ChatStreamWriter>(head, account);
}

std::unique_ptr<Writer> chat_whole_writer(const WriterHead& head, const Account& account) {
  return std::make_unique<ChatWholeWriter>(head, account);
}

}  // namespace hadal::server
