#include "cli/answer.h"

#include <chrono>

#include <sys/resource.h>

#include "base/error.h"
#include "cli/disk_cache_option.h"
#include "cli/human.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "infer/model_store.h"
#include "infer/sampling_defaults.h"
#include "server/served_model.h"

namespace hadal::cli {
namespace {

infer::SamplingParams chosen_sampling(const infer::LoadedModel& loaded, const RunOptions& options) {
  infer::SamplingParams params = infer::default_sampling(loaded);
  params.temperature = options.temperature.value_or(params.temperature);
  params.top_p = options.top_p.value_or(params.top_p);
  params.top_k = options.top_k.value_or(params.top_k);
  params.min_p = options.min_p.value_or(params.min_p);
  params.repetition_penalty = options.repeat_penalty.value_or(params.repetition_penalty);
  params.frequency_penalty = options.frequency_penalty.value_or(params.frequency_penalty);
  params.presence_penalty = options.presence_penalty.value_or(params.presence_penalty);
  params.seed = options.seed;
  infer::validate(params, loaded.model->config.vocab_size);
  return params;
}

void refuse_dialogue_flags(const RunOptions& options, const infer::LoadedModel& loaded) {
  const char* flag = !options.system.empty()        ? "--system"
                     : !options.think.empty()       ? "--think"
                     : options.thinking_budget >= 0 ? "--thinking-budget"
                                                    : nullptr;
  if (flag != nullptr) {
    fail(ErrorKind::usage, "{} is a base model without dialogues: {} has no meaning for it",
         loaded.name, flag);
  }
}

double per_second(int64_t count, double ms) {
  return ms > 0 ? static_cast<double>(count) * 1000.0 / ms : 0;
}

// A long prompt shows a bar; the first words of the answer remove it.
class PromptBar {
 public:
  void update(int64_t done, int64_t total) {
    if (!bar_) {
      bar_.emplace("reading", static_cast<uint64_t>(total), ProgressUnit::tokens);
    }
    bar_->update(static_cast<uint64_t>(done));
  }
  void finish() { bar_.reset(); }

 private:
  std::optional<Progress> bar_;
};

}  // namespace

std::string Answer::finish() const {
  switch (reason) {
    case infer::FinishReason::stop:
      return "stop";
    case infer::FinishReason::length:
      return "length";
    case infer::FinishReason::cancelled:
      return "cancelled";
    case infer::FinishReason::error:
      return "error";
  }
  return "";
}

Speaker::Speaker(const RunOptions& options, const Globals& globals) {
  const auto start = std::chrono::steady_clock::now();
  loaded_ = infer::open_model(infer::find_model(options.model));
  infer::require_tokenizer(loaded_);
  sampling_ = chosen_sampling(loaded_, options);
  stop_ = options.stop;
  max_tokens_ = options.max_tokens;
  pool_ = std::make_unique<ThreadPool>(globals.threads);
  infer::EngineOptions engine_options;
  engine_options.context_tokens = options.context_tokens;
  engine_options.precision = options.precision.value_or(infer::default_precision(loaded_));
  engine_options.cache_type = options.cache.value_or(engine_options.cache_type);
  engine_options.drafts = options.drafts;
  engine_options.disk = disk_cache_options(options.disk);
  if (!options.disk.folder.empty())
    engine_options.disk.fingerprint = server::cache_fingerprint(
        server::hash_model(loaded_.path), engine_options.precision, engine_options.cache_type);
  engine_options.interrupted = interrupted;
  engine_options.sequences_max = 1;
  engine_ = std::make_unique<infer::Engine>(loaded_, *pool_, engine_options);
  if (loaded_.style) {
    infer::ChatOptions chat_options;
    chat_options.sampling = sampling_;
    chat_options.max_tokens = options.max_tokens;
    chat_options.thinking_budget = options.thinking_budget;
    chat_options.stop = options.stop;
    if (!options.think.empty()) {
      chat_options.encode.thinking = options.think == "on";
      tokenizer::resolve_thinking(loaded_.style->generation, chat_options.encode.thinking);
    }
    chat_ = std::make_unique<infer::Chat>(*engine_, chat_options);
    if (!options.system.empty()) chat_->set_system(options.system);
  } else {
    refuse_dialogue_flags(options, loaded_);
  }
  const auto end = std::chrono::steady_clock::now();
  load_ms_ = std::chrono::duration<double, std::milli>(end - start).count();
}

Answer Speaker::ask(const std::string& text, AnswerPrinter* printer) {
  if (!chat_) return continue_text(text, printer);
  std::vector<tokenizer::Message>& messages = chat_->dialogue().messages;
  const size_t before = messages.size();
  chat_->add_user(text);
  PromptBar bar;
  infer::ChatAnswer answered;
  try {
    answered = chat_->answer([&](const infer::ChatEvent& event) {
      if (event.kind == infer::ChatEvent::Kind::prompt) {
        bar.update(event.prompt_done, event.prompt_tokens);
      } else {
        bar.finish();
        if (printer != nullptr) printer->push(event.delta);
      }
      return !interrupted();
    });
  } catch (...) {
    messages.resize(before);
    if (printer != nullptr) printer->finish();
    throw;
  }
  if (printer != nullptr) printer->finish();
  Answer answer{answered.message.content, answered.message.reasoning_content, answered.reason,
                answered.stats};
  if (answer.reason == infer::FinishReason::cancelled && answer.content.empty() &&
      answer.reasoning.empty()) {
    messages.resize(before);
  }
  return answer;
}

Answer Speaker::continue_text(const std::string& text, AnswerPrinter* printer) {
  const tokenizer::Tokenizer& tokenizer = infer::require_tokenizer(loaded_);
  infer::Request request;
  if (tokenizer.add_bos() && loaded_.bos_id >= 0) request.prompt.push_back(loaded_.bos_id);
  const std::vector<int32_t> ids = tokenizer.encode(text);
  request.prompt.insert(request.prompt.end(), ids.begin(), ids.end());
  request.sampling = sampling_;
  request.max_tokens = max_tokens_;
  request.stop = stop_;
  PromptBar bar;
  tokenizer::Utf8Buffer buffer;
  const auto print = [&](const std::string& valid) {
    if (printer != nullptr) printer->push({tokenizer::StreamEvent::Kind::content, valid});
  };
  const infer::GenerateResult result =
      engine_->generate(std::move(request), [&](const infer::Event& event) {
        if (event.kind == infer::Event::Kind::progress) {
          bar.update(event.prompt_done, event.stats.prompt_tokens);
        } else if (event.kind != infer::Event::Kind::finish) {
          bar.finish();
          std::string valid;
          buffer.push(event.text, valid);
          print(valid);
        }
        return !interrupted();
      });
  std::string rest;
  buffer.flush(rest);
  print(rest);
  if (printer != nullptr) printer->finish();
  return {result.text, "", result.reason, result.stats};
}

std::string stats_line(const infer::RequestStats& stats, int64_t peak_memory_bytes) {
  const int64_t computed = stats.prompt_tokens - stats.cached_tokens;
  std::string line = fmt::format("{} prompt tokens", stats.prompt_tokens);
  if (stats.cached_tokens > 0) line += fmt::format(" ({} cached)", stats.cached_tokens);
  line += fmt::format(", {:.0f}/s; {} answer tokens", per_second(computed, stats.prefill_ms),
                      stats.generated_tokens);
  if (stats.reasoning_tokens > 0) line += fmt::format(" ({} thought)", stats.reasoning_tokens);
  // The first token comes from the prompt's pass.
  const double decode = per_second(stats.generated_tokens - 1, stats.decode_ms);
  if (decode > 0) line += fmt::format(", {:.{}f}/s", decode, decode < 99.5 ? 1 : 0);
  if (stats.drafted_tokens > 0)
    line += fmt::format(", {} of {} drafts accepted", stats.accepted_tokens, stats.drafted_tokens);
  return line +
         fmt::format("; peak memory {}", format_bytes(static_cast<double>(peak_memory_bytes)));
}

std::string cut_note(const Answer& answer, const Speaker& speaker) {
  if (answer.reason == infer::FinishReason::cancelled) return "stopped";
  if (answer.reason != infer::FinishReason::length) return "";
  if (speaker.max_tokens() >= 0 && answer.stats.generated_tokens >= speaker.max_tokens()) {
    return fmt::format("cut after {} tokens (--max-tokens)", speaker.max_tokens());
  }
  return fmt::format("cut: the context of {} tokens is full", speaker.engine().context_tokens());
}

int64_t peak_memory_bytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace hadal::cli
