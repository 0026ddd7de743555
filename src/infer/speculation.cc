#include "infer/speculation.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"

namespace hadal::infer {
namespace {

// While nothing is drafted the MTP layer reads this many positions at once, which costs a small
// part of reading them one by one.
constexpr int64_t read_behind_rows = 64;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Whether the next step computes the last token of an answer. Not of a prompt, though it may have
// one token left: its form of attention is not that of the drafts behind it.
bool answers(Sequence& sequence) {
  return sequence.computed >= sequence.prompt_size() && sequence.computed + 1 == sequence.known();
}

}  // namespace

Speculation::Speculation(model::Runner& runner, model::KvCache& cache, KvPages& pages,
                         ThreadPool& pool, std::vector<Sampler>& samplers, int64_t drafts)
    : runner_(runner),
      cache_(cache),
      pages_(pages),
      pool_(pool),
      samplers_(samplers),
      controller_(drafts),
      complete_(static_cast<size_t>(pages.pages())) {
  HADAL_CHECK(drafts <= EngineOptions::drafts_max, "{} drafts", drafts);
}

void Speculation::admitted(Sequence& sequence) {
  sequence.drafting = {};
  sequence.drafting.ready = controller_.read_prompt();
}

void Speculation::took(Sequence& sequence, int32_t page) {
  Drafting& drafting = sequence.drafting;
  drafting.ready = drafting.ready && complete_[static_cast<size_t>(page)];
}

void Speculation::allocated(int32_t page) {
  complete_[static_cast<size_t>(page)] = false;
}

void Speculation::checked(int64_t drafts, int64_t accepted, bool wrong) {
  for (int64_t depth = 0; depth < accepted; ++depth) controller_.verified(depth, true);
  if (wrong) controller_.verified(accepted, false);
  step_drafts_ += drafts;
  step_accepted_ += accepted;
}

void Speculation::advance(Sequence& sequence, int64_t rows) {
  Drafting& drafting = sequence.drafting;
  // The last position of a page may be missing: what it holds instead costs a draft at the most.
  const auto pages = [&] { return (drafting.computed + 1) / KvPages::page_tokens; };
  int64_t page = pages();
  drafting.computed += rows;
  drafting.hidden.erase(drafting.hidden.begin(), drafting.hidden.begin() + rows * width());
  for (; page < pages(); ++page)
    complete_[static_cast<size_t>(sequence.pages[static_cast<size_t>(page)])] = true;
}

// Writes the MTP layer's cache entries of positions whose states wait.
void Speculation::read(Sequence& sequence, int64_t rows) {
  while (rows > 0) {
    const Drafting& drafting = sequence.drafting;
    const int64_t n = std::min(rows, runner_.tokens_max());
    model::Segment segment;
    segment.tokens =
        std::span(sequence.tokens())
            .subspan(static_cast<size_t>(drafting.computed) + 1, static_cast<size_t>(n));
    segment.start = drafting.computed;
    segment.pages = sequence.pages;
    segment.form = drafting.computed < sequence.prompt_size() ? model::AttentionForm::expanded
                                                              : model::AttentionForm::absorbed;
    segment.logits_from = n;
    runner_.forward_mtp(cache_, {&segment, 1}, drafting.hidden);
    advance(sequence, n);
    rows -= n;
  }
}

// Keeps the states of a step, and lets the MTP layer read those of prompts.
void Speculation::read_behind(Pass& pass) {
  for (const Pass::Part& part : pass.parts()) {
    Sequence& sequence = *part.sequence;
    sequence.drafting.tokens.clear();
    if (sequence.finished() || !sequence.drafting.ready) continue;
    std::vector<float>& hidden = sequence.drafting.hidden;
    if (hidden.empty()) sequence.drafting.computed = part.start;  // behind what was taken
    const size_t before = hidden.size();
    const int64_t rows = sequence.computed - part.start;
    hidden.resize(before + static_cast<size_t>(rows * width()));
    pass.runner().final_hidden(part.first_row, rows, hidden.data() + before);
  }
  for (const Pass::Part& part : pass.parts()) {
    Sequence& sequence = *part.sequence;
    // The last row is left to predict(), if it is to predict something.
    const int64_t rows = pending(sequence) - (answers(sequence) ? 1 : 0);
    if (!sequence.finished() && (part.rows - part.drafts > 1 || rows >= read_behind_rows))
      read(sequence, rows);
  }
}

// How many drafts, of those wanted, the answer and its pages have room for.
int64_t Speculation::room(Sequence& sequence, int64_t drafts) {
  const auto held = [&] {
    return static_cast<int64_t>(sequence.pages.size()) * KvPages::page_tokens;
  };
  drafts = std::min(drafts, sequence.tokens_left() - 1);
  // Never the pages that the others may want in the next step.
  while (held() < sequence.known() + drafts && pages_.available() > generating_) {
    sequence.pages.push_back(pages_.allocate());
    allocated(sequence.pages.back());
  }
  return std::min(drafts, held() - sequence.known());
}

void Speculation::draw(std::span<const float> logits, int64_t drafts) {
  const auto vocab = static_cast<size_t>(runner_.model().config.vocab_size);
  pool_.parallel_for(
      static_cast<int64_t>(rows_.size()), 1, [&](int64_t begin, int64_t end, int thread) {
        for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
          Row& row = rows_[i];
          const Sequence& sequence = *row.sequence;
          // As the token itself will be drawn: where both distributions agree, so do the draws.
          row.drawn = samplers_[static_cast<size_t>(thread)].sample(
              logits.subspan(i * vocab, vocab), sequence.request().sampling, sequence.counts(),
              sequence.stats().seed, sequence.request().stream,
              static_cast<uint64_t>(sequence.known() + drafts), row.top);
        }
      });
}

void Speculation::predict(int64_t drafts) {
  segments_.clear();
  hidden_.clear();
  for (const Row& row : rows_) {
    Sequence& sequence = *row.sequence;
    Drafting& drafting = sequence.drafting;
    const int64_t n = pending(sequence);
    drafting.tokens.assign(1, sequence.tokens().back());
    segments_.push_back({.tokens = std::span(sequence.tokens()).last(static_cast<size_t>(n)),
                         .start = drafting.computed,
                         .pages = sequence.pages,
                         .form = model::AttentionForm::absorbed,
                         .logits_from = n - 1});
    hidden_.insert(hidden_.end(), drafting.hidden.begin(), drafting.hidden.end());
  }
  for (int64_t made = 0;;) {
    const model::Runner::Predicted predicted = runner_.forward_mtp(cache_, segments_, hidden_);
    draw(predicted.logits, made);
    if (made == 0)
      for (const Row& row : rows_) advance(*row.sequence, pending(*row.sequence));
    ++made;
    // Those that go on do so from their own state and draft.
    segments_.clear();
    hidden_.clear();
    size_t kept = 0;
    for (size_t i = 0; i < rows_.size(); ++i) {
      Sequence& sequence = *rows_[i].sequence;
      std::vector<int32_t>& tokens = sequence.drafting.tokens;
      if (rows_[i].drawn.status != Sampled::Status::ok) continue;
      tokens.push_back(rows_[i].drawn.token);
      if (made >= std::min(drafts, rows_[i].drafts_max)) continue;
      segments_.push_back({.tokens = std::span(tokens).last(1),
                           .start = sequence.known() - 2 + made,
                           .pages = sequence.pages,
                           .form = model::AttentionForm::absorbed,
                           .logits_from = 0});
      const auto state =
          predicted.hidden.subspan(i * static_cast<size_t>(width()), static_cast<size_t>(width()));
      hidden_.insert(hidden_.end(), state.begin(), state.end());
      if (kept != i) rows_[kept] = std::move(rows_[i]);
      ++kept;
    }
    rows_.resize(kept);
    if (rows_.empty()) return;
  }
}

void Speculation::finish(Pass& pass) {
  const std::vector<Pass::Part>& parts = pass.parts();
  const double seconds = pass.seconds();
  const bool decodes = std::ranges::all_of(
      parts, [](const Pass::Part& part) { return part.rows - part.drafts == 1; });
  if (decodes)
    controller_.step({static_cast<int64_t>(parts.size()), step_drafts_, step_accepted_,
                      seconds + draft_seconds_});
  step_drafts_ = step_accepted_ = 0;
  draft_seconds_ = 0;
  const auto start = Clock::now();
  read_behind(pass);
  if (decodes)
    controller_.extra(seconds_since(start));
  else if (std::ranges::any_of(parts,
                               [](const Pass::Part& p) { return p.sequence->drafting.ready; }))
    controller_.prompt(seconds, seconds_since(start));

  rows_.clear();
  generating_ = 0;
  int64_t drafting = 0;
  for (const Pass::Part& part : parts) {
    Sequence& sequence = *part.sequence;
    if (sequence.finished() || !answers(sequence)) continue;
    ++generating_;
    if (sequence.drafting.ready && sequence.tokens_left() > 1) ++drafting;
  }
  if (generating_ == 0) return;
  const int64_t drafts =
      std::min(controller_.choose(generating_, drafting), runner_.tokens_max() / generating_ - 1);
  if (drafts <= 0) return;
  for (const Pass::Part& part : parts) {
    Sequence& sequence = *part.sequence;
    if (sequence.finished() || !answers(sequence)) continue;
    const int64_t most = sequence.drafting.ready ? room(sequence, drafts) : 0;
    if (most > 0) rows_.push_back({&sequence, most, {}, {}});
  }
  const auto read_start = Clock::now();
  // More than a step leaves behind: then speculation was off until now.
  const int64_t rows_max =
      std::min(EngineOptions::drafts_max + 1, runner_.tokens_max() / generating_);
  for (const Row& row : rows_)
    if (pending(*row.sequence) > rows_max) read(*row.sequence, pending(*row.sequence) - 1);
  controller_.extra(seconds_since(read_start));
  const auto draft_start = Clock::now();
  if (!rows_.empty()) predict(drafts);
  draft_seconds_ = seconds_since(draft_start);
}

}  // namespace hadal::infer
