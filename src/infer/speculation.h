// Speculation by the model's own MTP layer (DeepSeek-V3, arXiv 2412.19437, 2.2). Behind each step
// the layer predicts the tokens that follow; the next step computes them beside the last known
// token, in the same form of attention, so that row i of it is, to the bit, the row of plain
// decoding if all drafts before it are right. The plain sampler draws from each row in turn, and a
// draft is right if it is what was drawn. So answers are those of plain decoding, token for token,
// also when sampled; only their speed depends on the drafts.
//
// The layer sees all positions, as the model does: its cache entries are part of the same pages.
// The entry of a position depends on the token behind it. At the end of a shared page that is the
// token of whoever computed the page, which may cost another sequence a draft, but no more.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "infer/draft_controller.h"
#include "infer/engine.h"
#include "infer/kv_pages.h"
#include "infer/pass.h"
#include "infer/sampler.h"
#include "infer/sequence.h"
#include "model/forward.h"

namespace hadal::infer {

class Speculation {
 public:
  // Everything must outlive this. drafts: of each step, at most EngineOptions::drafts_max;
  // negative: as many as pay. samplers: one for each thread of the pool.
  Speculation(model::Runner& runner, model::KvCache& cache, KvPages& pages, ThreadPool& pool,
              std::vector<Sampler>& samplers, int64_t drafts);

  // ---- pages
  void admitted(Sequence& sequence);  // before it takes any
  // A page that another sequence computed is now part of this one.
  void took(Sequence& sequence, int32_t page);
  void allocated(int32_t page);  // its old content means nothing
  // Whether the MTP layer's entries of a page are there; it comes from disk with them, or without.
  bool complete(int32_t page) const { return complete_[static_cast<size_t>(page)]; }
  void loaded(int32_t page, bool complete) { complete_[static_cast<size_t>(page)] = complete; }

  // ---- a pass: checked() for what was drawn, then finish()
  // Of a sequence's `drafts` that were verified, the first `accepted` were right, and the next was
  // wrong if wrong is set; the others were not looked at.
  void checked(int64_t drafts, int64_t accepted, bool wrong);
  // Sequence::computed counts the rows of the pass that are right. Makes the drafts of the next
  // one.
  void finish(Pass& pass);

 private:
  void read(Sequence& sequence, int64_t rows);
  void read_behind(Pass& pass);
  void predict(int64_t drafts);
  void draw(std::span<const float> logits, int64_t drafts);
  void advance(Sequence& sequence, int64_t rows);
  int64_t room(Sequence& sequence, int64_t drafts);
  int64_t width() const { return runner_.model().config.hidden_size; }
  // Positions whose states wait for the MTP layer.
  int64_t pending(const Sequence& sequence) const {
    return static_cast<int64_t>(sequence.drafting.hidden.size()) / width();
  }

  model::Runner& runner_;
  model::KvCache& cache_;
  KvPages& pages_;
  ThreadPool& pool_;
  std::vector<Sampler>& samplers_;
  DraftController controller_;
  std::vector<bool> complete_;  // by page: the MTP layer's entries are there
  double draft_seconds_ = 0;    // spent on the drafts of the next step
  int64_t step_drafts_ = 0, step_accepted_ = 0;
  int64_t generating_ = 0;  // sequences whose next step computes their last token
  // Those of them that draft; of one pass of the MTP layer:
  struct Row {
    Sequence* sequence;
    int64_t drafts_max;
    Sampled drawn;
    std::vector<TokenLogprob> top;
  };
  std::vector<Row> rows_;
  std::vector<model::Segment> segments_;
  std::vector<float> hidden_;
};

}  // namespace hadal::infer
