// Rows of tokens to train on: documents one after another, each seeing only itself.
#pragma once

#include <cstdint>
#include <vector>

namespace hadal::data {

struct Batch {
  std::vector<int32_t> tokens;
  std::vector<int32_t> targets;    // the token to predict at each row; -1: none
  std::vector<int64_t> documents;  // first row of each, and the end: positions start at 0 there
  // First row of each sequence, over which the experts' balance is taken, and the end.
  std::vector<int64_t> sequences;

  int64_t rows() const { return static_cast<int64_t>(tokens.size()); }
};

}  // namespace hadal::data
