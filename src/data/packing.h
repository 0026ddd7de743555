// Documents cut to rows of a fixed length, best fit first.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/token_store.h"

namespace hadal::data {

// A run of tokens that one row reads, a document of its own there.
struct Segment {
  int64_t first = 0;     // the store's token that is read first
  int32_t length = 0;    // rows of the batch, the begin token included if there is one
  bool resumes = false;  // a begin token stands before `first`: the document began earlier
};

// How a store fills rows of `length` tokens.
//
// A document of n tokens gives n - 1 rows: its last token is only predicted. Longer documents are
// cut; each further cut starts behind a begin token (if the vocabulary has one), as every text does
// that the model will see. Marked documents (dialogues) are never continued: an answer without its
// question teaches nothing, so what does not fit is left out, and a document of which no learnt
// token is left goes altogether.
class Packing {
 public:
  Packing(const TokenStore& store, int64_t length);

  int64_t rows() const { return static_cast<int64_t>(begins_.size()) - 1; }
  std::span<const Segment> row(int64_t index) const;
  int64_t tokens_used() const { return used_; }      // rows of batches that hold a token
  int64_t tokens_left_out() const { return left_; }  // of the store

 private:
  std::vector<Segment> segments_;  // by row
  std::vector<uint32_t> begins_;   // first segment of each row, and the end
  int64_t used_ = 0, left_ = 0;
};

}  // namespace hadal::data
