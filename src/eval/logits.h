// What a model computes for given ids, as named tensors: how anyone compares Hadal with another
// implementation. Names and shapes: docs/logits.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "eval/perplexity.h"
#include "model/forward.h"

namespace hadal::eval {

struct LogitsOptions {
  model::Precision precision = model::Precision::f32;
  bool hidden = false;  // hidden [layers, B, T, D] after each layer, final_hidden [B, T, D]
  bool router = false;  // router.N.indices, router.N.weights [B*T, k]; N counts all layers from 0
  bool mtp = false;     // mtp_logits [B, T-1, V]; with router, the MTP layer's router too
  int64_t greedy = 0;   // greedy_ids, greedy_margin [B, greedy], continuing the first greedy_prompt
  int64_t greedy_prompt = 0;  // tokens of each row; 0: all
};

struct NamedTensor {
  std::string name;
  std::string dtype;  // "F32" or "I64"
  std::vector<int64_t> shape;
  std::vector<std::byte> data;

  std::span<const float> floats() const;
  std::span<const int64_t> integers() const;
};

// ids [batch, length]. Always gives input_ids and logits [B, T, V]. Throws Error(usage) for ids
// outside of the vocabulary or a wish that the model cannot grant, Error(limit) for a length over
// the context.
std::vector<NamedTensor> compute_logits(const model::Model& model, std::span<const int64_t> ids,
                                        int64_t batch, const LogitsOptions& options,
                                        ThreadPool& pool, const Progress& progress = {});

}  // namespace hadal::eval
