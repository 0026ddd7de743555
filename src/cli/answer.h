// A model that runs, and one answer of it: in a dialogue, or (base models) as plain continuation.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/thread_pool.h"
#include "cli/answer_printer.h"
#include "cli/globals.h"
#include "cli/run_options.h"
#include "infer/chat.h"
#include "infer/engine.h"
#include "infer/loaded_model.h"

namespace hadal::cli {

struct Answer {
  std::string content, reasoning;
  infer::FinishReason reason = infer::FinishReason::stop;
  infer::RequestStats stats;
  std::string finish() const;  // "stop", "length", "cancelled", "error"
};

class Speaker {
 public:
  // Opens the model and makes the engine. Throws what they throw, Error(usage) for flags that the
  // model cannot follow.
  Speaker(const RunOptions& options, const Globals& globals);

  // Adds the text to the dialogue and answers, or (base model) continues it. Ctrl+C stops the
  // answer: FinishReason::cancelled, and the flag is left set. If nothing was answered the dialogue
  // is as before. Throws as Engine::submit; then too.
  Answer ask(const std::string& text, AnswerPrinter* printer);

  bool has_dialogue() const { return chat_ != nullptr; }
  infer::Chat& chat() { return *chat_; }  // only with has_dialogue()
  const infer::LoadedModel& model() const { return loaded_; }
  const infer::Engine& engine() const { return *engine_; }
  const infer::SamplingParams& sampling() const { return sampling_; }
  int64_t max_tokens() const { return max_tokens_; }
  int threads() const { return pool_->threads(); }
  double load_ms() const { return load_ms_; }

 private:
  Answer continue_text(const std::string& text, AnswerPrinter* printer);

  infer::LoadedModel loaded_;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<infer::Engine> engine_;
  std::unique_ptr<infer::Chat> chat_;
  infer::SamplingParams sampling_;
  std::vector<std::string> stop_;
  int64_t max_tokens_ = -1;
  double load_ms_ = 0;
};

// "23 prompt tokens (12 cached), 850/s; 41 answer tokens (18 thought), 120/s, 12 of 20 drafts
// accepted; peak memory 210 MiB"
std::string stats_line(const infer::RequestStats& stats, int64_t peak_memory_bytes);

// Why an answer ends in the middle, "" if it doesn't.
std::string cut_note(const Answer& answer, const Speaker& speaker);

int64_t peak_memory_bytes();

}  // namespace hadal::cli
