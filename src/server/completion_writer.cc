// Text completions, streamed and whole.
#include <fmt/format.h>

#include "server/text.h"
#include "server/writer.h"
#include "tokenizer/stream_markup.h"

namespace hadal::server {
namespace {

// One choice: text as far as it is whole characters, and the log-probabilities of its tokens.
struct TextChoice {
  tokenizer::Utf8Buffer utf8;
  std::string text;  // not yet given out
  std::string tokens, logprobs, tops, offsets;
  size_t length = 0;  // of all text so far, bytes
  infer::FinishReason reason = infer::FinishReason::stop;
};

class CompletionBase : public Writer {
 public:
  CompletionBase(const WriterHead& head, const Account& account, const std::string& echo)
      : head_(head), account_(account), choices_(account.stats.size()) {
    prefix_ = fmt::format(R"({{"id":{},"object":"text_completion","created":{},"model":{},)"
                          R"("system_fingerprint":{},"choices":[)",
                          json_text(head.id), head.created, json_text(head.model),
                          json_text(head.fingerprint));
    for (TextChoice& choice : choices_) choice.text = echo;
    for (TextChoice& choice : choices_) choice.length = echo.size();
  }

 protected:
  void add(TextChoice& choice, const infer::Event& event) {
    using Kind = infer::Event::Kind;
    if (event.kind == Kind::token && head_.logprobs) add_logprobs(choice, event);
    if (event.kind == Kind::token || event.kind == Kind::partial) {
      choice.utf8.push(event.text, choice.text);
      choice.length += event.text.size();
    }
    if (event.kind == Kind::finish) {
      choice.utf8.flush(choice.text);
      choice.reason = event.reason;
    }
  }

  // text and log-probabilities that were not given out yet.
  std::string choice_json(size_t index, std::string_view finish) {
    TextChoice& choice = choices_[index];
    std::string logprobs = "null";
    if (head_.logprobs)
      logprobs = fmt::format(
          R"({{"tokens":[{}],"token_logprobs":[{}],"top_logprobs":[{}],"text_offset":[{}]}})",
          std::exchange(choice.tokens, ""), std::exchange(choice.logprobs, ""),
          std::exchange(choice.tops, ""), std::exchange(choice.offsets, ""));
    return fmt::format(R"({{"text":{},"index":{},"logprobs":{},"finish_reason":{}}})",
                       json_text(std::exchange(choice.text, "")), index, logprobs,
                       finish.empty() ? "null" : json_text(finish));
  }

  std::string extras() const {
    std::string extras = account_.extras ? account_.extras() : "";
    return extras.empty() ? "" : ",\"x_hadal\":" + extras;
  }

  const WriterHead head_;
  const Account& account_;
  std::vector<TextChoice> choices_;
  std::string prefix_;

 private:
  void add_logprobs(TextChoice& choice, const infer::Event& event) {
    const auto append = [](std::string& list, const std::string& item) {
      if (!list.empty()) list += ',';
      list += item;
    };
    append(choice.tokens, json_text(head_.tokenizer->token_bytes(event.token)));
    append(choice.logprobs, number_json(event.logprob));
    append(choice.offsets, std::to_string(choice.length));
    std::string top;
    for (const infer::TokenLogprob& other : event.top)
      append(top, json_text(head_.tokenizer->token_bytes(other.token)) + ":" +
                      number_json(other.logprob));
    append(choice.tops, "{" + top + "}");
  }
};

class CompletionStreamWriter : public CompletionBase {
 public:
  using CompletionBase::CompletionBase;
  void take(size_t choice, const infer::Event& event, std::string& out) override {
    TextChoice& state = choices_[choice];
    add(state, event);
    if (event.kind == infer::Event::Kind::finish) {
      const bool all = account_.unfinished == 0;
      out += sse_data(prefix_ + choice_json(choice, finish_name(state.reason, false)) +
                      "],\"usage\":" + (all ? usage_json(account_) + extras() : "null") + "}");
    } else if (!state.text.empty()) {
      out += sse_data(prefix_ + choice_json(choice, "") + "],\"usage\":null}");
    }
  }

  void end(std::string& out) override {
    if (head_.usage_chunk) out += sse_data(prefix_ + "],\"usage\":" + usage_json(account_) + "}");
    out += sse_data("[DONE]");
  }

  void fail(const ApiError& error, std::string& out) override {
    out += sse_data(error_body(error, ApiShape::openai));
    out += sse_data("[DONE]");
  }
};

class CompletionWholeWriter : public CompletionBase {
 public:
  using CompletionBase::CompletionBase;
  void take(size_t choice, const infer::Event& event, std::string&) override {
    add(choices_[choice], event);
  }

  void end(std::string& out) override {
    out += prefix_;
    for (size_t i = 0; i < choices_.size(); ++i) {
      if (i > 0) out += ',';
      out += choice_json(i, finish_name(choices_[i].reason, false));
    }
    out += "],\"usage\":" + usage_json(account_) + extras() + "}";
  }
};

}  // namespace

std::unique_ptr<Writer> completion_stream_writer(const WriterHead& head, const Account& account,
                                                 const std::string& echo) {
  return std::make_unique<CompletionStreamWriter>(head, account, echo);
}

std::unique_ptr<Writer> completion_whole_writer(const WriterHead& head, const Account& account,
                                                const std::string& echo) {
  return std::make_unique<CompletionWholeWriter>(head, account, echo);
}

}  // namespace hadal::server
