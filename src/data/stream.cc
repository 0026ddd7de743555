#include "data/stream.h"

#include <cmath>
#include <utility>

#include "base/error.h"
#include "data/mix.h"
#include "data/packing.h"

namespace hadal::data {

struct Stream::Loaded {
  TokenStore store;
  Packing packing;
  uint64_t number;  // among the sources: each has its own order

  Loaded(const std::string& path, int64_t length, uint64_t source)
      : store(path), packing(store, length), number(source) {}
};

// The mixes in force, each from its step on.
class Stream::Mix {
 public:
  explicit Mix(const StreamOptions& options) : rows_(options.rows) {
    std::vector<double> weights;
    for (const Source& source : options.sources) weights.push_back(source.weight);
    phases_.push_back({0, data::Mix(weights), std::vector<int64_t>(weights.size(), 0)});
    for (const WeightChange& change : options.changes) {
      std::vector<int64_t> before = counts(change.step);
      phases_.push_back({change.step, data::Mix(change.weights), std::move(before)});
    }
  }

  data::Mix::Slot slot(int64_t step, int64_t row) const {
    const Phase& phase = at(step);
    data::Mix::Slot slot = phase.mix.slot((step - phase.step) * rows_ + row);
    slot.index += phase.before[static_cast<size_t>(slot.source)];
    return slot;
  }

  // Sequences of each source before a step.
  std::vector<int64_t> counts(int64_t step) const {
    const Phase& phase = at(step);
    std::vector<int64_t> counts = phase.before;
    for (size_t s = 0; s < counts.size(); ++s) {
      counts[s] += phase.mix.count((step - phase.step) * rows_, static_cast<int32_t>(s));
    }
    return counts;
  }

 private:
  struct Phase {
    int64_t step;
    data::Mix mix;
    std::vector<int64_t> before;  // sequences of each source in earlier phases
  };
  const Phase& at(int64_t step) const {
    size_t i = phases_.size() - 1;
    while (i > 0 && phases_[i].step > step) --i;
    return phases_[i];
  }

  int64_t rows_;
  std::vector<Phase> phases_;
};

namespace {

void check_weights(const std::vector<double>& weights, size_t sources) {
  if (weights.size() != sources) {
    fail(ErrorKind::usage, "{} weights for {} sources: give one each", weights.size(), sources);
  }
  double sum = 0;
  for (const double weight : weights) {
    if (!(weight >= 0) || !std::isfinite(weight)) {
      fail(ErrorKind::usage, "the weight {} of a source: weights are 0 or more", weight);
    }
    sum += weight;
  }
  if (!(sum > 0) || !std::isfinite(sum)) {
    fail(ErrorKind::usage, "all sources have weight 0: nothing to train on");
  }
}

void check_options(const StreamOptions& options) {
  if (options.sources.empty() || options.sources.size() > 1000) {
    fail(ErrorKind::usage, "{} sources: there must be 1 to 1,000", options.sources.size());
  }
  if (options.length < 2 || options.length > (1 << 20) || options.rows < 1 ||
      options.rows > (1 << 20)) {
    fail(ErrorKind::usage,
         "{} sequences of {} tokens a step: there must be 1 to 1,048,576 of 2 to 1,048,576",
         options.rows, options.length);
  }
  std::vector<double> weights;
  for (const Source& source : options.sources) weights.push_back(source.weight);
  check_weights(weights, weights.size());
  int64_t before = 0;
  for (const WeightChange& change : options.changes) {
    if (change.step <= before) {
      fail(ErrorKind::usage, "weights change at step {} after step {}: steps must ascend from 1",
           change.step, before);
    }
    before = change.step;
    check_weights(change.weights, weights.size());
  }
}

}  // namespace

Stream::Stream(const StreamOptions& options) : options_(options) {
  check_options(options_);
  for (const Source& source : options_.sources) {
    sources_.push_back(std::make_unique<Loaded>(source.path, options_.length, sources_.size()));
    const TokenStore& store = sources_.back()->store;
    const TokenStore& first = sources_.front()->store;
    if (store.vocabulary().tokenizer_hash != first.vocabulary().tokenizer_hash ||
        store.vocabulary().size != first.vocabulary().size) {
      fail(ErrorKind::usage, "{} and {} were packed with different tokenizers: pack one again",
           first.path(), store.path());
    }
    if (sources_.back()->packing.rows() == 0) {
      fail(ErrorKind::usage, "{}: no document to learn from in sequences of {} tokens", source.path,
           options_.length);
    }
  }
  mix_ = std::make_unique<Mix>(options_);
}

Stream::~Stream() = default;

const Vocabulary& Stream::vocabulary() const {
  return sources_.front()->store.vocabulary();
}

void Stream::append_row(const Loaded& source, int64_t index, Batch& out) const {
  const auto rows = static_cast<uint64_t>(source.packing.rows());
  const auto i = static_cast<uint64_t>(index);
  const uint64_t pass = i / rows;
  const auto row =
      static_cast<int64_t>(permuted(i % rows, rows, options_.seed, pass << 16 | source.number));
  const TokenStore& store = source.store;
  const int32_t bos = store.vocabulary().bos_id;
  const auto end = out.tokens.size() + static_cast<size_t>(options_.length);
  for (const Segment& segment : source.packing.row(row)) {
    out.documents.push_back(out.rows());
    if (segment.resumes) {
      out.tokens.push_back(bos);
      out.targets.push_back(-1);  // what it would predict has no context yet
    }
    const int64_t count = segment.length - (segment.resumes ? 1 : 0);
    for (int64_t at = segment.first; at < segment.first + count; ++at) {
      out.tokens.push_back(store.token(at));
      out.targets.push_back(store.learnt(at + 1) ? store.token(at + 1) : -1);
    }
  }
  if (out.tokens.size() < end) {
    out.documents.push_back(out.rows());
    out.tokens.resize(end, bos < 0 ? 0 : bos);
    out.targets.resize(end, -1);
  }
}

Batch Stream::sequences(int64_t step, int64_t first, int64_t count) const {
  HADAL_CHECK(step >= 0 && first >= 0 && count >= 0 && first + count <= options_.rows,
              "sequences {}+{} of {} at step {}", first, count, options_.rows, step);
  Batch out;
  out.tokens.reserve(static_cast<size_t>(count * options_.length));
  out.targets.reserve(static_cast<size_t>(count * options_.length));
  for (int64_t row = first; row < first + count; ++row) {
    const data::Mix::Slot slot = mix_->slot(step, row);
    out.sequences.push_back(out.rows());
    append_row(*sources_[static_cast<size_t>(slot.source)], slot.index, out);
  }
  out.sequences.push_back(out.rows());
  out.documents.push_back(out.rows());
  return out;
}

std::vector<Stream::Report> Stream::report(int64_t steps) const {
  const std::vector<int64_t> counts = mix_->counts(steps);
  std::vector<Report> reports;
  for (size_t s = 0; s < sources_.size(); ++s) {
    const Loaded& source = *sources_[s];
    const auto rows = static_cast<double>(source.packing.rows());
    reports.push_back({source.store.path(), source.store.hash(), source.store.tokens(),
                       source.packing.tokens_left_out(), source.packing.rows(),
                       static_cast<double>(source.packing.tokens_used()) /
                           (rows * static_cast<double>(options_.length)),
                       static_cast<double>(counts[s]) / rows});
  }
  return reports;
}

}  // namespace hadal::data
