// The forward pass: tokens of several sequences at once, through all layers, to logits. A straight
// line of kernel calls in the order of the papers' equations.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "model/kv_cache.h"
#include "model/weights.h"

namespace hadal::model {

enum class Precision {
  native,  // each weight format's own definition: int8 activations for integer formats, else F32
  f32,     // F32 activations everywhere, weights decoded to F32: for comparison with references
  // As f32, with the inputs of the feed-forward's products, where nearly all arithmetic is, rounded
  // to BF16. Attention, router and head stay in F32: rounding there as well doubles the error and
  // triples the share of tokens that see other experts (docs/lab-log.md, Model).
  bf16,
};

// The two algebraically equal forms of MLA. Expanded costs less per pair of positions, absorbed
// less per position: prompts are computed expanded, generated tokens absorbed. The two differ in
// rounding, so which form computed a position is part of its identity (the prefix cache keys on
// it). Dense attention has one form only and ignores this.
enum class AttentionForm : uint8_t { expanded, absorbed };

// Consecutive tokens of one sequence. Positions before `start` must be in the cache already.
struct Segment {
  std::span<const int32_t> tokens;  // ids in [0, vocab): the caller has checked
  int64_t start = 0;                // position of tokens[0]
  std::span<const int32_t>
      pages;  // page of positions [64*i, 64*i+64), covers start + tokens.size()
  AttentionForm form = AttentionForm::expanded;
  int64_t logits_from = 0;  // logits are wanted for tokens[logits_from...]; tokens.size(): none
};

// What a comparison with another implementation wants to see. Empty pointers are not filled.
struct Trace {
  std::vector<std::vector<float>> hidden;  // [layer][rows * hidden], after each layer
  std::vector<float> final_hidden;         // [rows * hidden], after the last norm
  struct Router {
    std::vector<int32_t> experts;  // [rows * k], ascending in each row
    std::vector<float> weights;    // same order, scale included
  };
  std::vector<Router> routers;  // by layer; empty for dense layers; MTP layers follow
};

class Runner {
 public:
  // The model must outlive the runner. tokens_max: the most rows of one forward call.
  Runner(const Model& model, Precision precision, ThreadPool& pool, int64_t tokens_max);
  ~Runner();

  // Computes all rows of all segments, writes their cache entries, and returns logits: one row of
  // vocab floats for each wanted token, in order of segments. Valid until the next call. Results of
  // a row do not depend on what else is in the call. trace: filled if not null.
  std::span<const float> forward(KvCache& cache, std::span<const Segment> segments,
                                 Trace* trace = nullptr);

  // The same layer by layer: begin(), advance() until it returns false, then finish() for the
  // logits. The segments must stay as they are until then. A call that is not finished leaves
  // nothing but undefined cache entries of its rows.
  void begin(KvCache& cache, std::span<const Segment> segments, Trace* trace = nullptr);
  bool advance();  // computes the next layer; whether there are more
  std::span<const float> finish();

  // States of rows [first, first + n) of the last forward pass, after the last norm: out
  // [n, hidden].
  // Rows count through all segments; they are kept until the next pass or forward_mtp().
  void final_hidden(int64_t first, int64_t n, float* out);

  // Multi-token prediction by MTP layer 0: row i of a segment joins the main model's state at
  // position start + i (hidden [rows, hidden], through all segments) with the token that follows
  // there, tokens[i], and predicts the one after that. Writes the MTP layer of the cache.
  // Returns what Segment::logits_from asks for, valid until the next call, whose input the hidden
  // states may be: so a prediction is continued.
  struct Predicted {
    std::span<const float> logits;  // [wanted, vocab]
    std::span<const float> hidden;  // [wanted, hidden], after the MTP layer's norm
  };
  Predicted forward_mtp(KvCache& cache, std::span<const Segment> segments,
                        std::span<const float> hidden, Trace* trace = nullptr);

  const Model& model() const;
  Precision precision() const;
  int64_t tokens_max() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hadal::model
