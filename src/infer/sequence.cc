#include "infer/sequence.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "infer/kv_pages.h"

namespace hadal::infer {
namespace {

double milliseconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

bool contains(const std::vector<int32_t>& ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

Sequence::Sequence(uint64_t id, Request request, int64_t tokens_max, uint64_t seed,
                   const LoadedModel& model)
    : id_(id),
      request_(std::move(request)),
      model_(model),
      tokens_max_(tokens_max),
      tokens_(std::move(request_.prompt)),
      stops_(request_.stop),
      reasoning_(request_.thinking),
      submitted_(Clock::now()),
      started_(submitted_),
      first_token_(submitted_) {
  stats_.prompt_tokens = known();
  stats_.seed = seed;
  // A stop string that spells a special token means the token, whose text is never matched.
  for (const std::string& stop : request_.stop)
    if (const auto special = model.tokenizer->special_id(stop))
      request_.stop_ids.push_back(*special);
  if (request_.constraint) matcher_.emplace(request_.constraint);
  if (uses_counts(request_.sampling)) {
    counts_.emplace(model.model->config.vocab_size);
    counts_->add_prompt(tokens_);
  }
}

std::optional<int32_t> Sequence::forced() const {
  const std::vector<int32_t>& close = request_.thinking.close;
  // Once only: text that goes on thinking after it was told to stop is let go.
  if (forced_done_ == close.size()) return std::nullopt;
  if (forced_done_ == 0 && !reasoning_.budget_spent()) return std::nullopt;
  return close[forced_done_];
}

bool Sequence::is_stop(int32_t token) const {
  return contains(request_.stop_ids, token) ||
         (!request_.ignore_eos && contains(model_.stop_ids, token));
}

bool Sequence::may_open_thought() const {
  return request_.thinking.may_open && request_.thinking.open_id >= 0 && generated() == 0;
}

bool Sequence::find_allowed() {
  allowed_.mask = nullptr;
  allowed_.exceptions.clear();
  if (!matcher_) return true;
  const bool thinks = reasoning_.inside();
  bool may_end = false;
  try {
    if (!thinks) mask_ = matcher_->mask();
    may_end = !thinks && matcher_->may_end();
  } catch (const Error& error) {
    constraint_error_ = error.what();
    return false;
  }
  // A thought is free text that only its marker ends: the answer that was asked for has to follow.
  allowed_.mask = thinks ? &request_.constraint->vocabulary().text() : mask_.get();
  const auto add = [&](int32_t id, bool is_allowed) {
    if (id >= 0) allowed_.exceptions.emplace_back(id, is_allowed);
  };
  for (const int32_t id : model_.stop_ids) add(id, may_end && !request_.ignore_eos);
  for (const int32_t id : request_.stop_ids) add(id, may_end);
  if (thinks) add(request_.thinking.close_id, true);
  if (may_open_thought()) add(request_.thinking.open_id, true);
  return true;
}

std::string Sequence::why_none_left() const {
  if (!constraint_error_.empty()) return constraint_error_;
  return matcher_ ? "no token of the vocabulary can go on from here by the grammar's rules"
                  : "every token is forbidden: logit_bias leaves none";
}

bool Sequence::track_thought(int32_t token, std::string_view text) {
  // Within a constrained answer nothing but the token that opens it begins a thought: what a string
  // spells is a string.
  if (is_constrained() && !(may_open_thought() && token == request_.thinking.open_id)) {
    HADAL_CHECK(matcher_->accept(token), "token {} was not allowed", token);
    return false;
  }
  const bool was_inside = reasoning_.inside() && !forced();
  const bool is_reasoning = reasoning_.push(token, text);
  if (matcher_ && was_inside && !reasoning_.inside()) {
    // The thought ended by itself. What stands behind it in the form is forced before the answer
    // that the constraint asks for.
    const size_t marker = request_.thinking.close_id >= 0 ? 1 : request_.thinking.close.size();
    forced_done_ = std::min(marker, request_.thinking.close.size());
  }
  return is_reasoning;
}

void Sequence::accept(const Sampled& sampled, std::vector<TokenLogprob>&& top,
                      std::vector<Event>& events) {
  const int32_t token = sampled.token;
  const bool was_forced = forced().has_value();
  if (stats_.generated_tokens == 0) {
    first_token_ = Clock::now();
    stats_.prefill_ms = milliseconds(started_, first_token_);
  }
  ++stats_.generated_tokens;
  if (!was_forced && is_stop(token)) {
    finish(FinishReason::stop, "", events);
    return;
  }
  std::string_view text;
  if (model_.tokenizer && !model_.tokenizer->is_special(token))
    text = model_.tokenizer->token_bytes(token);
  else
    stops_.skip(0);
  // Markers are spelt by special tokens, too.
  const bool was_inside = reasoning_.inside();
  const bool is_reasoning =
      track_thought(token, model_.tokenizer ? model_.tokenizer->token_bytes(token) : text);
  if (was_forced) ++forced_done_;
  tokens_.push_back(token);
  if (counts_) counts_->add_generated(token);
  stats_.reasoning_tokens = reasoning_.tokens();
  bytes_ += text.size();
  Event event;
  event.id = id_;
  event.token = token;
  event.text = text;
  event.logprob = sampled.logprob;
  event.top = std::move(top);
  event.reasoning = is_reasoning;
  pending_.push_back({std::move(event), bytes_});
  const StopMatcher::Result match = find_stop(text, was_inside || reasoning_.inside());
  deliver(match.safe, events);
  if (match.stop >= 0) {
    if (!pending_.empty()) {  // a token that reaches into the stop string
      Event& last = pending_.front().event;
      const size_t begin = pending_.front().end - last.text.size();
      if (match.safe > begin) {
        last.kind = Event::Kind::partial;
        last.text.resize(match.safe - begin);
        events.push_back(std::move(last));
      }
      pending_.clear();
    }
    finish(FinishReason::stop, "", events);
    events.back().stop = request_.stop[static_cast<size_t>(match.stop)];
    return;
  }
  if (is_constrained() && matcher_->must_end())
    finish(FinishReason::stop, "", events);
  else if (stats_.generated_tokens >= tokens_max_)
    finish(FinishReason::length, "", events);
}

StopMatcher::Result Sequence::find_stop(std::string_view text, bool in_thought) {
  if (in_thought) {
    behind_thought_ = true;
    return stops_.skip(text.size());
  }
  if (behind_thought_) {
    const size_t blank = std::min(text.find_first_not_of("\r\n"), text.size());
    const StopMatcher::Result skipped = stops_.skip(blank);
    if (blank == text.size()) return skipped;
    text.remove_prefix(blank);
    behind_thought_ = false;
  }
  return stops_.push(text);
}

void Sequence::deliver(size_t safe, std::vector<Event>& events) {
  while (!pending_.empty() && pending_.front().end <= safe) {
    events.push_back(std::move(pending_.front().event));
    pending_.pop_front();
  }
}

void Sequence::finish(FinishReason reason, std::string error, std::vector<Event>& events) {
  deliver(bytes_, events);
  finished_ = true;
  if (stats_.generated_tokens > 0) stats_.decode_ms = milliseconds(first_token_, Clock::now());
  Event event;
  event.id = id_;
  event.kind = Event::Kind::finish;
  event.reason = reason;
  event.text = std::move(error);
  event.stats = stats_;
  events.push_back(std::move(event));
}

std::span<const int32_t> Sequence::page(int64_t index) const {
  constexpr auto size = static_cast<size_t>(KvPages::page_tokens);
  return std::span(tokens_).subspan(static_cast<size_t>(index) * size, size);
}

uint64_t Sequence::page_key(int64_t index) {
  for (auto i = static_cast<int64_t>(page_keys_.size()); i <= index; ++i)
    page_keys_.push_back(KvPages::page_key(request_.owner, i > 0 ? page_keys_.back() : 0, page(i)));
  return page_keys_[static_cast<size_t>(index)];
}

void Sequence::started() {
  started_ = Clock::now();
  stats_.queue_ms = milliseconds(submitted_, started_);
}

void Sequence::prompt_advanced(std::vector<Event>& events) {
  Event event;
  event.id = id_;
  event.kind = Event::Kind::progress;
  event.prompt_done = std::min(computed, prompt_size());
  event.stats = stats_;
  events.push_back(std::move(event));
}

void Sequence::count_cached(int64_t tokens) {
  if (stats_.preemptions == 0) stats_.cached_tokens += tokens;
}

void Sequence::preempted() {
  ++stats_.preemptions;
}

void Sequence::count_drafts(int64_t verified, int64_t accepted) {
  stats_.drafted_tokens += verified;
  stats_.accepted_tokens += accepted;
}

}  // namespace hadal::infer
