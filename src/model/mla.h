// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, 2.1): keys and values are rebuilt
// from a latent of kv_lora elements, which alone is cached, with one rotated key part for all
// heads. Expanded: K and V of a head are rebuilt page by page, always from the cached latents,
// those of the current tokens too, so that it does not matter which call computed them. Absorbed:
// the queries are brought into the latent space instead, and attend to the cache as it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/attention.h"
#include "model/attention_bf16.h"
#include "model/batch.h"
#include "model/buffer.h"
#include "model/linear.h"

namespace hadal::model {

class Mla {
 public:
  Mla(const Context& context, const ModelConfig& config);

  // x: the normalised input of all rows; y [rows, hidden]. Writes the cache entries of all rows.
  void forward(const Attention& w, Input& x, const Batch& batch, KvCache& cache, int64_t layer,
               float* y);

 private:
  // Neighbouring rows that are all computed in the absorbed form.
  struct Run {
    int64_t first_row, rows;
    int64_t first_slot;  // index of the first among all absorbed rows
  };
  // A piece of the walk of an absorbed row over its pages.
  struct Span {
    int64_t slot;
    int64_t first_page, pages;
  };
  // Spans times groups of heads, and what the same thread probably takes after them.
  struct SpanTasks {
    int64_t begin, end, after;
  };
  // What one thread needs while it works on a head.
  struct Scratch {
    Buffer latents, prepared, keys, values, state, row;
    Buffer bf16_keys, bf16_values, bf16_weights, packed, attend;
    int64_t packed_slot = -1, packed_head = -1;  // whose queries lie in `packed`
  };

  void project(const Attention& w, Input& x, const Batch& batch, KvCache& cache, int64_t layer);
  void finish_row(const Attention& w, const Batch& batch, KvCache& cache, int64_t layer,
                  int64_t row);
  void rotate_queries(const Batch& batch, int64_t row);

  Queries head_queries(const Batch& batch, int64_t segment, int64_t head, float* state) const;

  // mla_expanded.cc
  void attend_expanded(const Attention& w, const Batch& batch, const KvCache& cache, int64_t layer);
  void attend_head(const Attention& w, const Batch& batch, const KvCache& cache, int64_t layer,
                   int64_t segment, int64_t head, Scratch& scratch);
  void expand_page(const Attention& w, const kernels::Rows& entries, int64_t head,
                   Scratch& scratch);

  // mla_expanded_bf16.cc
  void attend_expanded_bf16(const Attention& w, const Batch& batch, const KvCache& cache,
                            int64_t layer);
  void start_walks(const Batch& batch);
  int64_t latent_stride() const;
  void prepare_window(const Attention& w, const Batch& batch, const KvCache& cache, int64_t layer,
                      int64_t first);
  void attend_window(const Attention& w, const Batch& batch, int64_t expanded, int64_t head,
                     int64_t first, Scratch& scratch);
  void expand_piece(const Attention& w, int64_t head, int64_t row, int64_t n, Scratch& scratch);
  void expand_keys_transposed(const Matrix& k_b, int64_t head, int64_t row, int64_t n, float* keys,
                              int64_t stride, Scratch& scratch);

  // mla_absorbed.cc
  void attend_absorbed(const Attention& w, const Batch& batch, const KvCache& cache, int64_t layer);
  void find_absorbed(const Batch& batch);
  void absorb_queries(const Attention& w, const Run& run, int64_t head, Scratch& scratch);
  int64_t find_spans(const Batch& batch, int64_t first_slot);
  void attend_slots(const Batch& batch, const KvCache& cache, int64_t layer, int64_t first_slot,
                    int64_t end_slot);
  void attend_span(const Batch& batch, const KvCache& cache, int64_t layer, int64_t span,
                   int64_t first_head, int64_t heads, std::span<const std::byte> follow);
  void attend_spans(const Batch& batch, const KvCache& cache, int64_t layer, const SpanTasks& part,
                    bool bf16, Scratch& scratch);
  void attend_span_bf16(const Batch& batch, const KvCache& cache, int64_t layer, int64_t span,
                        int64_t first_head, int64_t heads, std::span<const std::byte> follow,
                        Scratch& scratch);
  Queries span_queries(const Batch& batch, int64_t span, int64_t first_head, int64_t heads) const;
  const Segment& segment_of(const Batch& batch, const Span& span) const;
  void merge_spans(int64_t slot, int64_t index_in_wave, int64_t head, bool bf16);
  void expand_outputs(const Attention& w, const Run& run, int64_t head, Scratch& scratch);

  const Context& context_;
  const ModelConfig& config_;
  const int64_t key_dim_;    // nope + rope
  const int64_t entry_dim_;  // kv_lora + rope
  Buffer q_a_buffer_, q_buffer_, kv_a_buffer_, out_buffer_, absorbed_buffer_, latent_out_buffer_;
  Buffer span_buffer_, state_buffer_, packed_buffer_, latents_buffer_, prepared_buffer_,
      ropes_buffer_;
  float* q_a_ = nullptr;           // [rows, q_lora]
  float* q_ = nullptr;             // [rows, heads, nope + rope]
  float* kv_a_ = nullptr;          // [rows, kv_lora + rope]
  float* out_ = nullptr;           // [rows, heads, v]
  float* absorbed_ = nullptr;      // [absorbed rows, heads, kv_lora + rope]
  float* span_out_ = nullptr;      // [spans of a wave, heads, kv_lora]
  float* span_state_ = nullptr;    // [spans of a wave, heads, 2]
  float* latent_out_ = nullptr;    // [absorbed rows, heads, kv_lora]
  uint16_t* latents_ = nullptr;    // [expanded segments, window, kv_lora rounded up to 32], BF16
  uint16_t* ropes_ = nullptr;      // [expanded segments, window, rope], BF16
  std::byte* prepared_ = nullptr;  // the same in the form that products take
  int64_t prepared_stride_ = 0;    // bytes
  Input q_a_input_, out_input_;
  std::vector<int64_t> expanded_;       // segments
  std::vector<Bf16Walk> walks_;         // [expanded segments, heads]
  std::vector<Run> runs_;               // absorbed rows
  std::vector<int64_t> absorbed_rows_;  // by slot
  std::vector<Span> spans_;             // of a wave
  std::vector<int64_t> first_spans_;    // [slots of a wave + 1]
  std::vector<Scratch> scratch_;        // by thread
};

}  // namespace hadal::model
