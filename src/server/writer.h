// From the engine's events to what the client reads. A writer knows one API's shape, as a stream or
// as one body; it never sees sockets or threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "infer/request.h"
#include "server/api_error.h"
#include "tokenizer/generation.h"
#include "tokenizer/stream_parser.h"

namespace hadal::server {

// What is known of the whole generation: filled before a writer sees the event that told it.
struct Account {
  std::vector<infer::RequestStats> stats;  // by choice; final for those that have finished
  size_t unfinished = 0;
  std::function<std::string()> extras;  // x_hadal as JSON once all have finished; empty: none
};

// The same for all choices of an answer.
struct WriterHead {
  std::string id;  // chatcmpl-..., of the answer
  std::string model, fingerprint;
  int64_t created = 0;
  bool thinking = false;         // thoughts are to be expected
  bool starts_thinking = false;  // the answer begins inside one
  bool logprobs = false;
  bool usage_chunk = false;  // one more chunk without choices carries the usage again
  const tokenizer::Tokenizer* tokenizer = nullptr;
  tokenizer::Generation generation = tokenizer::Generation::v3;  // of dialogues
};

class Writer {
 public:
  virtual ~Writer() = default;
  // Streams: what comes before the first event.
  virtual void begin(std::string&) {}
  virtual void take(size_t choice, const infer::Event& event, std::string& out) = 0;
  // Behind the finish of the last choice.
  virtual void end(std::string& out) = 0;
  // Streams: instead of the end.
  virtual void fail(const ApiError&, std::string&) {}
  // What clients skip while nothing happens; "": what is usual.
  virtual std::string keep_alive() const { return ""; }
};

// account must outlive the writer.
std::unique_ptr<Writer> chat_stream_writer(const WriterHead& head, const Account& account);
std::unique_ptr<Writer> chat_whole_writer(const WriterHead& head, const Account& account);
std::unique_ptr<Writer> anthropic_stream_writer(const WriterHead& head, const Account& account);
std::unique_ptr<Writer> anthropic_whole_writer(const WriterHead& head, const Account& account);
// echo: what every choice's text begins with.
std::unique_ptr<Writer> completion_stream_writer(const WriterHead& head, const Account& account,
                                                 const std::string& echo);
std::unique_ptr<Writer> completion_whole_writer(const WriterHead& head, const Account& account,
                                                const std::string& echo);

// ---- shared by the writers

// "usage" of the OpenAI shape, over all choices; the prompt counts once.
std::string usage_json(const Account& account);
// "stop", "length", "tool_calls", "insufficient_system_resource".
std::string_view finish_name(infer::FinishReason reason, bool has_calls);
// {"token", "logprob", "bytes", "top_logprobs"}
std::string logprob_json(const tokenizer::Tokenizer& tokenizer, const infer::Event& event);
std::string number_json(float value);

}  // namespace hadal::server
