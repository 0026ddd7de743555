// The answer of a generating endpoint: events in, bytes of one API's shape out, with what keeps
// waiting clients patient.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/access.h"
#include "server/engine_host.h"
#include "server/generation.h"
#include "server/http.h"
#include "server/writer.h"

namespace hadal::server {

struct GenerationSetup {
  EngineHost* host = nullptr;
  std::shared_ptr<Generation> generation;
  // Called at the first event: a request in the queue needs no parser yet.
  std::function<std::unique_ptr<Writer>(const Account&)> make_writer;
  bool streams = false;  // anything is written before the end
  ApiShape shape = ApiShape::openai;
  size_t choices = 1;
  int64_t prompt_tokens = 0;
  std::shared_ptr<Access::Ticket> ticket;
  double keep_alive_s = 10;
  std::string model;    // for the log
  std::string warning;  // a header tells it
  // x_hadal of the answer as JSON; empty: none. Called once all choices have finished.
  struct Record {
    const Account& account;
    const std::vector<std::vector<int32_t>>& tokens;  // by choice
    double cpu_s = 0;
  };
  std::function<std::string(const Record&)> extras;
  // Called with the tokens once all choices have finished; empty: nobody wants them.
  std::function<void(std::vector<std::vector<int32_t>>)> learn;
};

class GenerationAnswer : public Answer {
 public:
  explicit GenerationAnswer(GenerationSetup setup);
  ~GenerationAnswer() override;

  void start(std::weak_ptr<Waker> waker) override;
  Part take(Clock::time_point now) override;
  void abandon() override;
  AnswerLog log() const override;

 private:
  void take_item(const Generation::Item& item, std::string& out);
  void fail(const ApiError& error, Part& part);
  void put_waiting(Clock::time_point now, Part& part);
  void begin_head(Part& part);
  void settle();

  GenerationSetup setup_;
  Account account_;
  std::unique_ptr<Writer> writer_;
  std::vector<std::vector<int32_t>> tokens_;
  int64_t tokens_seen_ = 0;
  int64_t prompt_done_ = 0;
  bool prompt_told_ = true;  // the client knows prompt_done_
  bool head_sent_ = false, ended_ = false, settled_ = false;
  Clock::time_point started_ = Clock::now(), last_sent_ = started_;
  double first_token_ms_ = 0;
  std::string finish_, error_;
};

}  // namespace hadal::server
