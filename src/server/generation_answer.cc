#include "server/generation_answer.h"

#include <utility>

#include <fmt/format.h>

namespace hadal::server {
namespace {

constexpr auto progress_interval = std::chrono::seconds(1);

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

}  // namespace

GenerationAnswer::GenerationAnswer(GenerationSetup setup) : setup_(std::move(setup)) {
  account_.stats.resize(setup_.choices);
  for (infer::RequestStats& stats : account_.stats) stats.prompt_tokens = setup_.prompt_tokens;
  account_.unfinished = setup_.choices;
  tokens_.resize(setup_.choices);
  if (setup_.extras) {
    account_.extras = [this] {
      return setup_.extras({account_, tokens_, setup_.generation->cpu_s()});
    };
  }
}

GenerationAnswer::~GenerationAnswer() {
  settle();
}

void GenerationAnswer::start(std::weak_ptr<Waker> waker) {
  setup_.generation->set_waker(std::move(waker));
}

// Counts what was used, once: the whole of it, or what it had come to when the client left.
void GenerationAnswer::settle() {
  if (std::exchange(settled_, true)) return;
  int64_t generated = 0;
  for (const infer::RequestStats& stats : account_.stats) generated += stats.generated_tokens;
  if (setup_.ticket) setup_.ticket->use(setup_.prompt_tokens + std::max(generated, tokens_seen_));
  setup_.ticket = nullptr;
}

void GenerationAnswer::take_item(const Generation::Item& item, std::string& out) {
  const infer::Event& event = item.event;
  using Kind = infer::Event::Kind;
  switch (event.kind) {
    case Kind::progress:
      account_.stats[item.choice] = event.stats;
      prompt_done_ = event.prompt_done;
      prompt_told_ = prompt_done_ == setup_.prompt_tokens;
      break;
    case Kind::token:
      if (tokens_seen_++ == 0) first_token_ms_ = milliseconds_since(started_);
      tokens_[item.choice].push_back(event.token);
      break;
    case Kind::partial:
      break;
    case Kind::finish:
      account_.stats[item.choice] = event.stats;
      --account_.unfinished;
      finish_ = finish_name(event.reason, false);
      if (event.reason == infer::FinishReason::error) error_ = event.text;
      // Anthropic's shape has no way to end an answer that the server gave up.
      if (event.reason == infer::FinishReason::cancelled && setup_.shape == ApiShape::anthropic)
        error_ = "the server ended this answer";
      break;
  }
  if (!error_.empty()) return;
  if (!writer_) {
    writer_ = setup_.make_writer(account_);
    writer_->begin(out);
  }
  writer_->take(item.choice, event, out);
}

void GenerationAnswer::begin_head(Part& part) {
  if (std::exchange(head_sent_, true)) return;
  part.begins = true;
  if (setup_.streams) {
    part.response.content_type = "text/event-stream; charset=utf-8";
    part.response.headers.emplace_back("cache-control", "no-cache");
    part.response.headers.emplace_back("x-accel-buffering", "no");  // nginx: do not collect
  }
  if (!setup_.warning.empty())
    part.response.headers.emplace_back("x-hadal-warning", setup_.warning);
}

void GenerationAnswer::fail(const ApiError& error, Part& part) {
  error_ = error.what();
  setup_.host->cancel(*setup_.generation);
  if (!head_sent_) {
    head_sent_ = true;
    part.begins = true;
    part.response = error_response(error, setup_.shape);
    part.bytes = std::exchange(part.response.body, "");
  } else if (setup_.streams) {
    if (!writer_) writer_ = setup_.make_writer(account_);
    writer_->fail(error, part.bytes);
  } else {
    part.bytes += error_body(error, setup_.shape);
  }
  part.ends = ended_ = true;
}

// A comment or an empty line, when it is time for one.
void GenerationAnswer::put_waiting(Clock::time_point now, Part& part) {
  const auto interval = std::chrono::milliseconds(static_cast<int64_t>(setup_.keep_alive_s * 1000));
  const bool tells = !prompt_told_ && setup_.streams && now - last_sent_ >= progress_interval;
  if (part.bytes.empty() && (tells || now - last_sent_ >= interval)) {
    if (!prompt_told_ && setup_.streams) {
      part.bytes = fmt::format(": progress {{\"stage\":\"prefill\",\"done\":{},\"total\":{}}}\n\n",
                               prompt_done_, setup_.prompt_tokens);
      prompt_told_ = true;
    }
    const std::string own = writer_ ? writer_->keep_alive() : "";
    part.bytes += own.empty() ? (setup_.streams ? ": keep-alive\n\n" : "\n") : own;
  }
  if (!part.bytes.empty()) last_sent_ = now;
  part.again = last_sent_ + interval;
}

Answer::Part GenerationAnswer::take(Clock::time_point now) {
  Part part;
  if (ended_) {
    part.ends = true;
    return part;
  }
  for (const Generation::Item& item : setup_.generation->take()) {
    take_item(item, part.bytes);
    if (!error_.empty()) break;
  }
  if (!error_.empty()) {
    // What is in part.bytes belongs to a stream that has begun, or there is nothing in it.
    if (!part.bytes.empty()) begin_head(part);
    fail(ApiError(500, error_), part);
    settle();
    return part;
  }
  if (setup_.generation->overflowed() && account_.unfinished > 0) {
    fail(ApiError(503, "the answer was dropped: it was not read fast enough"), part);
    settle();
    return part;
  }
  if (account_.unfinished == 0) {
    writer_->end(part.bytes);
    part.ends = ended_ = true;
    settle();
    if (setup_.learn) setup_.learn(std::move(tokens_));
  } else {
    put_waiting(now, part);
  }
  if (!part.bytes.empty()) begin_head(part);
  return part;
}

void GenerationAnswer::abandon() {
  if (account_.unfinished > 0) setup_.host->cancel(*setup_.generation);
  settle();
}

AnswerLog GenerationAnswer::log() const {
  AnswerLog log;
  log.model = setup_.model;
  log.finish = finish_;
  log.error = error_;
  const infer::RequestStats& first = account_.stats.front();
  log.prompt_tokens = setup_.prompt_tokens;
  log.cached_tokens = first.cached_tokens;
  log.queue_ms = first.queue_ms;
  log.first_token_ms = first_token_ms_;
  int64_t generated = 0;
  for (const infer::RequestStats& stats : account_.stats) generated += stats.generated_tokens;
  log.completion_tokens = std::max(generated, tokens_seen_);
  return log;
}

}  // namespace hadal::server
