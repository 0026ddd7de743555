// The endless stream of batches that training reads: a pure function of seed and step, so that a
// run which goes on, here or on another machine, needs no state but its step.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/token_store.h"

namespace hadal::data {

struct Source {
  std::string path;   // a token store
  double weight = 1;  // share of the rows, relative to the others'; 0: none
};

// From a step on, other weights: prose early, dialogues late.
struct WeightChange {
  int64_t step = 0;
  std::vector<double> weights;  // one a source
};

struct StreamOptions {
  std::vector<Source> sources;
  int64_t rows = 1;      // sequences of a step
  int64_t length = 512;  // tokens of a sequence
  uint64_t seed = 0;
  std::vector<WeightChange> changes{};  // steps ascending
};

class Stream {
 public:
  // Opens and packs all sources (a second or two for 100 M tokens). Throws Error(file | format) of
  // a store, Error(usage) if weights, sizes or the stores' tokenizers do not fit together.
  explicit Stream(const StreamOptions& options);
  ~Stream();

  // All sequences of a step, steps counted from 0. Rows of a sequence that its source cannot fill
  // hold the begin token (else 0), as a document of its own, without targets. Threads may call it
  // at the same time.
  Batch batch(int64_t step) const { return sequences(step, 0, options_.rows); }
  // `count` sequences of it from `first` on, the same as batch() holds there: what one of several
  // machines computes, or a part that fits in memory.
  Batch sequences(int64_t step, int64_t first, int64_t count) const;

  const StreamOptions& options() const { return options_; }
  const Vocabulary& vocabulary() const;

  struct Report {
    std::string path;
    uint64_t hash = 0;     // of the store's content
    int64_t tokens = 0;    // in the store
    int64_t left_out = 0;  // of them, never read: short rests, dialogues too long
    int64_t rows = 0;      // sequences that it fills
    double filled = 0;     // share of their rows that hold a token
    double passes = 0;     // how often it has been read after `steps` steps
  };
  std::vector<Report> report(int64_t steps) const;

 private:
  class Mix;
  struct Loaded;
  void append_row(const Loaded& source, int64_t index, Batch& out) const;

  StreamOptions options_;
  std::vector<std::unique_ptr<Loaded>> sources_;
  std::unique_ptr<Mix> mix_;
};

}  // namespace hadal::data
