// A forward pass over the next tokens of some sequences, and the draws from its logits. It is
// computed layer by layer, so that a long one can be interrupted, and leaves room between its
// layers for another.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "infer/sampler.h"
#include "infer/sequence.h"
#include "model/forward.h"

namespace hadal::infer {

class Speculation;

class Pass {
 public:
  // The next tokens of a sequence; those behind the known ones are its drafts.
  struct Piece {
    Sequence* sequence;
    int64_t tokens;
  };
  // What a piece became: rows [first_row, first_row + rows) of the pass.
  struct Part {
    Sequence* sequence;
    int64_t start;  // the first position that is computed
    int64_t first_row;
    int64_t rows, drafts;
  };

  // Everything must outlive the pass. samplers: one for each thread of the pool.
  Pass(const model::Model& model, model::Precision precision, ThreadPool& pool, int64_t tokens_max,
       model::KvCache& cache, std::vector<Sampler>& samplers);

  model::Runner& runner() { return runner_; }
  bool active() const { return !parts_.empty(); }  // begun, and not yet closed
  const std::vector<Part>& parts() const { return parts_; }
  double seconds() const { return seconds_; }  // that its layers took so far
  double longest_layer() const { return longest_layer_; }

  // Until close(), tokens, drafts and pages of the sequences stay as they are.
  void begin(std::span<const Piece> pieces);
  bool advance();  // computes the next layer; whether there are more
  // Behind the last layer, in this order: the logits, the draws of the next tokens (of sequences
  // that are not finished), the end.
  void finish();
  void sample(Speculation* speculation, std::vector<Event>& events);
  void close() { parts_.clear(); }

 private:
  // A sequence with a row of logits, and one for each of its drafts behind it.
  struct Row {
    Sequence* sequence;
    size_t logits;  // the first row
    size_t drafts;
    Sampled sampled;
    std::vector<TokenLogprob> top;
  };
  void draw(size_t round);
  static bool take(Row& row, size_t round, Speculation* speculation, std::vector<Event>& events);

  ThreadPool& pool_;
  model::KvCache& cache_;
  std::vector<Sampler>& samplers_;
  model::Runner runner_;
  std::vector<model::Segment> segments_;
  std::vector<Part> parts_;
  std::vector<Row> rows_;
  std::span<const float> logits_;
  double seconds_ = 0, longest_layer_ = 0;
};

}  // namespace hadal::infer
