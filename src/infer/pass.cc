#include "infer/pass.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "infer/speculation.h"

namespace hadal::infer {

Pass::Pass(const model::Model& model, model::Precision precision, ThreadPool& pool,
           int64_t tokens_max, model::KvCache& cache, std::vector<Sampler>& samplers)
    : pool_(pool),
      cache_(cache),
      samplers_(samplers),
      runner_(model, precision, pool, tokens_max) {}

void Pass::begin(std::span<const Piece> pieces) {
  const auto start = Clock::now();
  segments_.clear();
  parts_.clear();
  rows_.clear();
  int64_t first_row = 0;
  size_t logits_rows = 0;
  for (const Piece& piece : pieces) {
    Sequence& sequence = *piece.sequence;
    const int64_t end = sequence.computed + piece.tokens;
    const int64_t drafts = std::max<int64_t>(0, end - sequence.known());
    model::Segment segment;
    segment.start = sequence.computed;
    segment.tokens =
        drafts > 0 ? std::span<const int32_t>(sequence.drafting.tokens)
                   : std::span(sequence.tokens()).subspan(static_cast<size_t>(sequence.computed));
    segment.tokens = segment.tokens.first(static_cast<size_t>(piece.tokens));
    segment.pages = sequence.pages;
    // Prompts are computed expanded and answers absorbed, also when they are computed again: so a
    // position has the same bits whatever happened to its sequence.
    segment.form = sequence.computed < sequence.prompt_size() ? model::AttentionForm::expanded
                                                              : model::AttentionForm::absorbed;
    const bool last = end >= sequence.known();
    segment.logits_from = piece.tokens - drafts - (last ? 1 : 0);
    segments_.push_back(segment);
    if (last) rows_.push_back({&sequence, logits_rows, static_cast<size_t>(drafts), {}, {}});
    logits_rows += static_cast<size_t>(piece.tokens - segment.logits_from);
    parts_.push_back({&sequence, sequence.computed, first_row, piece.tokens, drafts});
    first_row += piece.tokens;
  }
  runner_.begin(cache_, segments_);
  seconds_ = std::chrono::duration<double>(Clock::now() - start).count();
  longest_layer_ = 0;
}

bool Pass::advance() {
  const auto start = Clock::now();
  const bool more = runner_.advance();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  seconds_ += seconds;
  longest_layer_ = std::max(longest_layer_, seconds);
  return more;
}

void Pass::finish() {
  const auto start = Clock::now();
  logits_ = runner_.finish();
  seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
}

// In rounds: whether a sequence's next row counts is known when its draft was right.
void Pass::sample(Speculation* speculation, std::vector<Event>& events) {
  const auto start = Clock::now();
  std::erase_if(rows_, [](const Row& row) { return row.sequence->finished(); });
  for (size_t round = 0; !rows_.empty(); ++round) {
    draw(round);
    size_t going_on = 0;
    for (Row& row : rows_) {
      if (!take(row, round, speculation, events)) continue;
      if (&rows_[going_on] != &row) rows_[going_on] = std::move(row);
      ++going_on;
    }
    rows_.resize(going_on);
  }
  seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
}

void Pass::draw(size_t round) {
  const auto vocab = static_cast<size_t>(runner_.model().config.vocab_size);
  pool_.parallel_for(
      static_cast<int64_t>(rows_.size()), 1, [&](int64_t begin, int64_t end, int thread) {
        Sampler& sampler = samplers_[static_cast<size_t>(thread)];
        for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
          Row& row = rows_[i];
          Sequence& sequence = *row.sequence;
          const SamplingParams& params = sequence.request().sampling;
          const std::span<const float> x = logits_.subspan((row.logits + round) * vocab, vocab);
          if (const std::optional<int32_t> token = sequence.forced())
            row.sampled = sampler.force(x, params, *token, row.top);
          else if (sequence.find_allowed())
            row.sampled = sampler.sample(
                x, params, sequence.counts(), sequence.stats().seed, sequence.request().stream,
                static_cast<uint64_t>(sequence.known()), row.top, sequence.allowed());
          else
            row.sampled = {Sampled::Status::none_left};
        }
      });
}

// Gives the sequence its token. Whether the next row counts, too.
bool Pass::take(Row& row, size_t round, Speculation* speculation, std::vector<Event>& events) {
  Sequence& sequence = *row.sequence;
  switch (row.sampled.status) {
    case Sampled::Status::ok:
      sequence.accept(row.sampled, std::move(row.top), events);
      break;
    case Sampled::Status::not_finite:
      sequence.finish(FinishReason::error,
                      "the model's logits are not finite: its weights are broken, or overflow in "
                      "this precision",
                      events);
      break;
    case Sampled::Status::none_left:
      sequence.finish(FinishReason::error, sequence.why_none_left(), events);
      break;
  }
  if (row.drafts == 0) return false;
  const bool looked_at = round < row.drafts && !sequence.finished();
  const bool right = looked_at && row.sampled.token == sequence.drafting.tokens[round + 1];
  if (right) {
    ++sequence.computed;
    sequence.count_drafts(0, 1);
    return true;
  }
  speculation->checked(static_cast<int64_t>(row.drafts), static_cast<int64_t>(round), looked_at);
  return false;
}

}  // namespace hadal::infer
