// Embeddings: the mean of the last layer's hidden states over the text, brought to length 1. The
// models were not trained for it; close texts come out close all the same.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/forward.h"
#include "model/kv_cache.h"
#include "server/served_model.h"

namespace hadal::server {

// For the engine's thread, piece by piece, so that streams go on in between.
class Embedder {
 public:
  Embedder(const ServedModel& model, std::vector<std::vector<int32_t>> texts);

  // Computes one piece; true when all is done.
  bool step();
  const std::vector<std::vector<float>>& vectors() const { return vectors_; }

 private:
  std::vector<std::vector<int32_t>> texts_;
  model::Runner runner_;
  model::KvCache cache_;
  std::vector<int32_t> pages_;
  std::vector<std::vector<float>> vectors_;
  std::vector<double> sum_;
  size_t text_ = 0;
  int64_t done_ = 0;  // tokens of the current text
};

}  // namespace hadal::server
