// Anthropic's Messages, streamed and whole.
#include <fmt/format.h>

#include "server/chat_choice.h"
#include "server/text.h"
#include "server/writer.h"

namespace hadal::server {
namespace {

using tokenizer::StreamEvent;

std::string_view stop_reason(const ChatChoice& choice) {
  if (choice.reason == infer::FinishReason::length) return "max_tokens";
  if (choice.has_calls) return "tool_use";
  return choice.stop.empty() ? "end_turn" : "stop_sequence";
}

std::string stop_json(const ChatChoice& choice) {
  return fmt::format(R"("stop_reason":"{}","stop_sequence":{})", stop_reason(choice),
                     choice.stop.empty() ? "null" : json_text(choice.stop));
}

// Their input_tokens leave out what came from the cache.
std::string usage(const infer::RequestStats& stats) {
  return fmt::format(
      R"({{"input_tokens":{},"cache_creation_input_tokens":0,"cache_read_input_tokens":{},)"
      R"("output_tokens":{}}})",
      stats.prompt_tokens - stats.cached_tokens, stats.cached_tokens, stats.generated_tokens);
}

std::string message_json(const WriterHead& head, const std::string& content,
                         const std::string& stop, const infer::RequestStats& stats) {
  return fmt::format(
      R"("id":{},"type":"message","role":"assistant","model":{},"content":[{}],{},"usage":{})",
      json_text(head.id), json_text(head.model), content, stop, usage(stats));
}

// Clients hand it back unread; something has to be there.
constexpr std::string_view signature = "hadal";

class AnthropicStreamWriter : public Writer {
 public:
  AnthropicStreamWriter(const WriterHead& head, const Account& account)
      : head_(head), account_(account), choice_(head_) {}

  std::string keep_alive() const override {
    return started_ ? sse_event("ping", R"({"type":"ping"})") : "";
  }

  void take(size_t, const infer::Event& event, std::string& out) override {
    if (!started_) start(event, out);
    for (const StreamEvent& delta : choice_.take(event)) put(delta, out);
    if (event.kind != infer::Event::Kind::finish) return;
    close(out);
    out += sse_event("message_delta",
                     fmt::format(R"({{"type":"message_delta","delta":{{{}}},"usage":{}{}}})",
                                 stop_json(choice_), usage(account_.stats[0]), extras()));
  }

  void end(std::string& out) override {
    out += sse_event("message_stop", R"({"type":"message_stop"})");
  }

  void fail(const ApiError& error, std::string& out) override {
    out += sse_event("error", error_body(error, ApiShape::anthropic));
  }

 private:
  enum class Block { none, thinking, text, tool };

  std::string extras() const {
    const std::string extras = account_.extras ? account_.extras() : "";
    return extras.empty() ? "" : ",\"x_hadal\":" + extras;
  }

  void start(const infer::Event& event, std::string& out) {
    started_ = true;
    infer::RequestStats stats = event.stats;  // what is known of the prompt so far
    if (stats.prompt_tokens == 0) stats = account_.stats[0];
    stats.generated_tokens = 0;
    out += sse_event(
        "message_start",
        fmt::format(R"({{"type":"message_start","message":{{{}}}}})",
                    message_json(head_, "", R"("stop_reason":null,"stop_sequence":null)", stats)));
    out += sse_event("ping", R"({"type":"ping"})");
  }

  void open(Block block, const std::string& content, std::string& out) {
    close(out);
    block_ = block;
    out +=
        sse_event("content_block_start",
                  fmt::format(R"({{"type":"content_block_start","index":{},"content_block":{}}})",
                              index_, content));
  }

  void close(std::string& out) {
    if (block_ == Block::none) return;
    if (block_ == Block::thinking)
      put_delta(fmt::format(R"({{"type":"signature_delta","signature":"{}"}})", signature), out);
    out += sse_event("content_block_stop",
                     fmt::format(R"({{"type":"content_block_stop","index":{}}})", index_));
    ++index_;
    block_ = Block::none;
  }

  void put_delta(const std::string& delta, std::string& out) {
    out += sse_event(
        "content_block_delta",
        fmt::format(R"({{"type":"content_block_delta","index":{},"delta":{}}})", index_, delta));
  }

  void put(const StreamEvent& event, std::string& out) {
    switch (event.kind) {
      case StreamEvent::Kind::reasoning:
        if (block_ != Block::thinking)
          open(Block::thinking, R"({"type":"thinking","thinking":"","signature":""})", out);
        put_delta(
            fmt::format(R"({{"type":"thinking_delta","thinking":{}}})", json_text(event.text)),
            out);
        break;
      case StreamEvent::Kind::content:
        if (block_ != Block::text) open(Block::text, R"({"type":"text","text":""})", out);
        put_delta(fmt::format(R"({{"type":"text_delta","text":{}}})", json_text(event.text)), out);
        break;
      case StreamEvent::Kind::call_begin:
        open(Block::tool,
             fmt::format(R"({{"type":"tool_use","id":"toolu_{}","name":{},"input":{{}}}})",
                         random_hex(12), json_text(event.text)),
             out);
        break;
      case StreamEvent::Kind::call_arguments:
        put_delta(fmt::format(R"({{"type":"input_json_delta","partial_json":{}}})",
                              json_text(event.text)),
                  out);
        break;
      case StreamEvent::Kind::call_end:
        close(out);
        break;
    }
  }

  const WriterHead head_;
  const Account& account_;
  ChatChoice choice_;
  bool started_ = false;
  Block block_ = Block::none;
  int index_ = 0;
};

class AnthropicWholeWriter : public Writer {
 public:
  AnthropicWholeWriter(const WriterHead& head, const Account& account)
      : head_(head), account_(account), choice_(head_) {}

  void take(size_t, const infer::Event& event, std::string&) override {
    for (const StreamEvent& delta : choice_.take(event)) {
      // Pieces of one kind are one block; a call is always a new one.
      const bool joins = !blocks_.empty() && blocks_.back().kind == kind_of(delta) &&
                         delta.kind != StreamEvent::Kind::call_begin;
      if (delta.kind == StreamEvent::Kind::call_end) {
        blocks_.back().valid = delta.valid;
        continue;
      }
      if (!joins) blocks_.push_back({kind_of(delta), "", "", true});
      if (delta.kind == StreamEvent::Kind::call_begin)
        blocks_.back().name = delta.text;
      else
        blocks_.back().text += delta.text;
    }
  }

  void end(std::string& out) override {
    std::string content;
    for (const Block& block : blocks_) {
      if (!content.empty()) content += ',';
      content += block_json(block);
    }
    const std::string extras = account_.extras ? account_.extras() : "";
    out += "{" + message_json(head_, content, stop_json(choice_), account_.stats[0]) +
           (extras.empty() ? "" : ",\"x_hadal\":" + extras) + "}";
  }

 private:
  struct Block {
    StreamEvent::Kind kind;
    std::string name, text;
    bool valid;  // calls: the arguments are a whole JSON object
  };

  static StreamEvent::Kind kind_of(const StreamEvent& event) {
    using Kind = StreamEvent::Kind;
    return event.kind == Kind::reasoning || event.kind == Kind::content ? event.kind
                                                                        : Kind::call_begin;
  }

  static std::string block_json(const Block& block) {
    switch (block.kind) {
      case StreamEvent::Kind::reasoning:
        return fmt::format(R"({{"type":"thinking","thinking":{},"signature":"{}"}})",
                           json_text(block.text), signature);
      case StreamEvent::Kind::content:
        return fmt::format(R"({{"type":"text","text":{}}})", json_text(block.text));
      default:
        break;
    }
    // `input` has to be an object: of a call that was cut off nothing can be given.
    return fmt::format(R"({{"type":"tool_use","id":"toolu_{}","name":{},"input":{}}})",
                       random_hex(12), json_text(block.name),
                       block.valid && !block.text.empty() ? block.text : "{}");
  }

  const WriterHead head_;
  const Account& account_;
  ChatChoice choice_;
  std::vector<Block> blocks_;
};

}  // namespace

std::unique_ptr<Writer> anthropic_stream_writer(const WriterHead& head, const Account& account) {
  return std::make_unique<AnthropicStreamWriter>(head, account);
}

std::unique_ptr<Writer> anthropic_whole_writer(const WriterHead& head, const Account& account) {
  return std::make_unique<AnthropicWholeWriter>(head, account);
}

}  // namespace hadal::server
