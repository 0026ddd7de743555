// MLA, absorbed form: q~_i = W_UK,i^T q_nope,i makes all heads attend to the same cached entries as
// one wide key (multi-query attention), and o_i = W_UV,i (sum_j p_j c_j). Three passes: queries by
// head, attention by row and piece of its context, outputs by head; so that each weight is read
// once for all rows, and each entry of the cache by one thread for all heads (a group of them).
//
// A row's walk over its pages is cut into at most 16 spans, whose states are then merged in order.
// The cut depends on the row's position alone, so it is part of the definition of its result.
#include <algorithm>
#include <cstring>

#include "kernels/attend.h"
#include "model/mla.h"

namespace hadal::model {
namespace {

// Heads that one task brings over the cache: they share each entry that it reads.
constexpr int64_t heads_per_task = 16;
constexpr int64_t heads_per_bf16_task = 128;
// Rows for each thread that are cut into spans, of many rows.
constexpr int64_t rows_cut = 2;
// Pages, about, that a thread takes of such a row at a time; of small ones fewer, since fetching
// the first of them matters less than ending together.
constexpr int64_t pages_together = 16, small_pages_together = 4;
constexpr int64_t small_page_bytes = 16 << 10;
constexpr int64_t spans_max = pieces_max;
// Rows are taken in waves whose spans' results fit in this.
constexpr int64_t wave_bytes = 16 << 20;

// Pages of each span of a row that sees `pages` pages: a power of two.
int64_t span_pages(int64_t pages) {
  int64_t size = 1;
  while (size * spans_max < pages) size *= 2;
  return size;
}

std::span<const std::byte> page_bytes(const KvCache& cache, int64_t layer, const Segment& segment,
                                      int64_t page) {
  return {cache.page(layer, segment.pages[static_cast<size_t>(page)]),
          static_cast<size_t>(KvCache::page_tokens * cache.entry_bytes())};
}

}  // namespace

void Mla::find_absorbed(const Batch& batch) {
  runs_.clear();
  absorbed_rows_.clear();
  for (size_t s = 0; s < batch.segments.size(); ++s) {
    if (batch.segments[s].form != AttentionForm::absorbed) continue;
    const int64_t first = batch.first_row[s];
    const int64_t rows = batch.first_row[s + 1] - first;
    if (rows == 0) continue;
    if (!runs_.empty() && runs_.back().first_row + runs_.back().rows == first)
      runs_.back().rows += rows;
    else
      runs_.push_back({first, rows, static_cast<int64_t>(absorbed_rows_.size())});
    for (int64_t r = 0; r < rows; ++r) absorbed_rows_.push_back(first + r);
  }
}

// The spans of a wave of rows from first_slot on; returns the row after the last.
int64_t Mla::find_spans(const Batch& batch, int64_t first_slot) {
  const int64_t span_bytes =
      config_.heads * config_.kv_lora_rank * static_cast<int64_t>(sizeof(float));
  const int64_t limit = std::max(spans_max, wave_bytes / span_bytes);
  spans_.clear();
  first_spans_.assign(1, 0);
  auto slot = static_cast<size_t>(first_slot);
  for (; slot < absorbed_rows_.size(); ++slot) {
    const auto row = static_cast<size_t>(absorbed_rows_[slot]);
    const int64_t pages = batch.positions[row] / KvCache::page_tokens + 1;
    const int64_t size = span_pages(pages);
    if (static_cast<int64_t>(spans_.size()) + (pages + size - 1) / size > limit) break;
    for (int64_t first = 0; first < pages; first += size)
      spans_.push_back({static_cast<int64_t>(slot), first, std::min(size, pages - first)});
    first_spans_.push_back(static_cast<int64_t>(spans_.size()));
  }
  return static_cast<int64_t>(slot);
}

void Mla::attend_absorbed(const Attention& w, const Batch& batch, const KvCache& cache,
                          int64_t layer) {
  find_absorbed(batch);
  if (runs_.empty()) return;
  const int64_t heads = config_.heads;
  const auto slots = static_cast<int64_t>(absorbed_rows_.size());
  absorbed_ = absorbed_buffer_.get(slots * heads * entry_dim_);
  latent_out_ = latent_out_buffer_.get(slots * heads * config_.kv_lora_rank);
  const int64_t head_tasks = static_cast<int64_t>(runs_.size()) * heads;
  context_.pool.parallel_for(head_tasks, 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t task = begin; task < end; ++task)
      absorb_queries(w, runs_[static_cast<size_t>(task / heads)], task % heads,
                     scratch_[static_cast<size_t>(thread)]);
  });
  for (int64_t slot = 0; slot < slots;) {
    const int64_t end_slot = find_spans(batch, slot);
    attend_slots(batch, cache, layer, slot, end_slot);
    slot = end_slot;
  }
  context_.pool.parallel_for(head_tasks, 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t task = begin; task < end; ++task)
      expand_outputs(w, runs_[static_cast<size_t>(task / heads)], task % heads,
                     scratch_[static_cast<size_t>(thread)]);
  });
}

// q~ = W_UK^T q_nope, followed by the rotated part as it is.
void Mla::absorb_queries(const Attention& w, const Run& rows, int64_t head, Scratch& scratch) {
  const int64_t lora = config_.kv_lora_rank;
  const int64_t nope = config_.qk_nope_dim;
  const int64_t q_stride = config_.heads * key_dim_;
  const int64_t y_stride = config_.heads * entry_dim_;
  const float* q = q_ + rows.first_row * q_stride + head * key_dim_;
  float* y = absorbed_ + rows.first_slot * y_stride + head * entry_dim_;
  if (w.kv_b.data != nullptr) {
    const int64_t first = head * (nope + config_.v_dim);
    context_.kernels.matmul_transposed(&w.kv_b, first, first + nope, q, q_stride, rows.rows, y,
                                       y_stride, scratch.row.get(lora));
  } else {
    const auto activation = activation_for(context_.precision, w.k_b.type);
    const Prepared x =
        prepare(context_, activation, q, q_stride, rows.rows, nope, scratch.prepared);
    context_.kernels.matmul({&w.k_b, head * lora, (head + 1) * lora, activation, x.data, x.stride,
                             rows.rows, y, y_stride});
  }
  for (int64_t r = 0; r < rows.rows; ++r)
    std::memcpy(y + r * y_stride + lora, q + r * q_stride + nope,
                static_cast<size_t>(config_.qk_rope_dim) * sizeof(float));
}

void Mla::attend_slots(const Batch& batch, const KvCache& cache, int64_t layer, int64_t first_slot,
                       int64_t end_slot) {
  const int64_t heads = config_.heads;
  const auto spans = static_cast<int64_t>(spans_.size());
  span_out_ = span_buffer_.get(spans * heads * config_.kv_lora_rank);
  span_state_ = state_buffer_.get(spans * heads * 2);
  const bool bf16 = attends_bf16(context_, cache);
  const int64_t heads_once = bf16 ? heads_per_bf16_task : heads_per_task;
  const int64_t groups = (heads + heads_once - 1) / heads_once;
  const int64_t threads = context_.pool.threads();
  // Most of many rows are walked and merged each by one thread; the last ones are cut into spans,
  // so that all threads end together.
  const int64_t rows = end_slot - first_slot;
  const int64_t whole = std::max<int64_t>(0, rows - rows_cut * threads);
  const int64_t first_cut = first_spans_[static_cast<size_t>(whole)];
  const int64_t tasks = spans * groups, first_task = first_cut * groups;
  const bool small = cache.layer_page_bytes() <= small_page_bytes;
  const int64_t pages = small ? small_pages_together : pages_together;
  const int64_t together = std::clamp<int64_t>(pages / spans_[static_cast<size_t>(first_cut)].pages,
                                               1, (tasks - first_task - 1) / threads + 1);
  const int64_t pieces = (tasks - first_task + together - 1) / together;
  const auto row_task = [&](int64_t row) {
    return first_spans_[static_cast<size_t>(std::min(row, rows))] * groups;
  };
  for (Scratch& scratch : scratch_) scratch.packed_slot = -1;
  context_.pool.parallel_for(whole + pieces, 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t task = first_task + (unit - whole) * together;
      const SpanTasks part =
          unit < whole
              ? SpanTasks{row_task(unit), row_task(unit + 1), row_task(unit + threads)}
              : SpanTasks{task, std::min(task + together, tasks), task + threads * together};
      attend_spans(batch, cache, layer, part, bf16, scratch_[static_cast<size_t>(thread)]);
      for (int64_t head = 0; unit < whole && head < heads; ++head)
        merge_spans(first_slot + unit, unit, head, bf16);
    }
  });
  constexpr int64_t merges_together = 4;
  context_.pool.parallel_for((rows - whole) * heads, merges_together,
                             [&](int64_t begin, int64_t end, int) {
                               for (int64_t task = begin; task < end; ++task) {
                                 const int64_t row = whole + task / heads;
                                 merge_spans(first_slot + row, row, task % heads, bf16);
                               }
                             });
}

// Neighbouring spans, so that what is read next is known; behind them, what is probably read next.
void Mla::attend_spans(const Batch& batch, const KvCache& cache, int64_t layer,
                       const SpanTasks& part, bool bf16, Scratch& scratch) {
  const int64_t heads_once = bf16 ? heads_per_bf16_task : heads_per_task;
  const int64_t groups = (config_.heads + heads_once - 1) / heads_once;
  for (int64_t task = part.begin; task < part.end; ++task) {
    const int64_t head = task % groups * heads_once;
    const int64_t heads = std::min(heads_once, config_.heads - head);
    const auto after = static_cast<size_t>((task + 1 < part.end ? task + 1 : part.after) / groups);
    std::span<const std::byte> follow;
    if (after < spans_.size())
      follow = page_bytes(cache, layer, segment_of(batch, spans_[after]), spans_[after].first_page);
    if (bf16)
      attend_span_bf16(batch, cache, layer, task / groups, head, heads, follow, scratch);
    else
      attend_span(batch, cache, layer, task / groups, head, heads, follow);
  }
}

// The queries of some heads of a row, on a span.
Queries Mla::span_queries(const Batch& batch, int64_t span_index, int64_t first_head,
                          int64_t heads) const {
  const int64_t lora = config_.kv_lora_rank;
  const Span& span = spans_[static_cast<size_t>(span_index)];
  const auto row = static_cast<size_t>(absorbed_rows_[static_cast<size_t>(span.slot)]);
  const int64_t first = span_index * config_.heads + first_head;
  return {.q = absorbed_ + (span.slot * config_.heads + first_head) * entry_dim_,
          .q_stride = entry_dim_,
          .width = entry_dim_,
          .count = heads,
          .per_position = heads,
          .first_position = batch.positions[row],
          .scale = static_cast<float>(config_.attention_scale),
          .o = span_out_ + first * lora,
          .o_stride = lora,
          .o_width = lora,
          .state = span_state_ + first * 2};
}

const Segment& Mla::segment_of(const Batch& batch, const Span& span) const {
  const auto row = static_cast<size_t>(absorbed_rows_[static_cast<size_t>(span.slot)]);
  return batch.segments[static_cast<size_t>(batch.segment_of[row])];
}

void Mla::attend_span(const Batch& batch, const KvCache& cache, int64_t layer, int64_t span_index,
                      int64_t first_head, int64_t heads, std::span<const std::byte> follow) {
  const Span& span = spans_[static_cast<size_t>(span_index)];
  const Segment& segment = segment_of(batch, span);
  const Queries queries = span_queries(batch, span_index, first_head, heads);
  const int64_t position = queries.first_position;
  const int64_t end_page = span.first_page + span.pages;
  for (int64_t page = span.first_page; page < end_page; ++page) {
    const int64_t page_first = page * KvCache::page_tokens;
    const int64_t n = std::min(KvCache::page_tokens, position + 1 - page_first);
    auto entries = page_rows(cache, layer, segment, page, 0, n);
    const auto next = page + 1 < end_page ? page_bytes(cache, layer, segment, page + 1) : follow;
    entries.follow = next.data();
    attend_page(context_.kernels, queries, entries, entries, page_first, page == span.first_page);
  }
}

void Mla::attend_span_bf16(const Batch& batch, const KvCache& cache, int64_t layer,
                           int64_t span_index, int64_t first_head, int64_t heads,
                           std::span<const std::byte> follow, Scratch& scratch) {
  const Span& span = spans_[static_cast<size_t>(span_index)];
  const Segment& segment = segment_of(batch, span);
  const Queries queries = span_queries(batch, span_index, first_head, heads);
  const int64_t packed_size = kernels::packed_queries_size(heads, entry_dim_);
  Bf16Walk walk(context_, queries,
                reinterpret_cast<uint16_t*>(scratch.packed.bytes(2 * packed_size)));
  if (scratch.packed_slot != span.slot || scratch.packed_head != first_head) walk.pack();
  scratch.packed_slot = span.slot;
  scratch.packed_head = first_head;
  walk.start();
  const int64_t end_page = span.first_page + span.pages;
  for (int64_t page = span.first_page; page < end_page; ++page) {
    const int64_t page_first = page * KvCache::page_tokens;
    const int64_t n = std::min(KvCache::page_tokens, queries.first_position + 1 - page_first);
    const auto entries =
        bf16_rows(context_.kernels, cache, layer, segment, page, n, scratch.bf16_keys);
    const auto next = page + 1 < end_page ? page_bytes(cache, layer, segment, page + 1) : follow;
    walk.attend_page(entries, entries, page_first, next, scratch.attend);
  }
}

// Brings a head's spans together, in order.
void Mla::merge_spans(int64_t slot, int64_t index_in_wave, int64_t head, bool bf16) {
  const int64_t lora = config_.kv_lora_rank;
  const int64_t first_span = first_spans_[static_cast<size_t>(index_in_wave)];
  const int64_t end_span = first_spans_[static_cast<size_t>(index_in_wave) + 1];
  const int64_t first = first_span * config_.heads + head;
  float* o = span_out_ + first * lora;
  float* state = span_state_ + first * 2;
  float* out = latent_out_ + (slot * config_.heads + head) * lora;
  if (!bf16)
    return attend_merge(context_.kernels,
                        {.count = end_span - first_span,
                         .state = state,
                         .state_stride = config_.heads * 2,
                         .o = o,
                         .o_stride = config_.heads * lora,
                         .width = lora},
                        out);
  for (int64_t span = first_span + 1; span < end_span; ++span) {
    const int64_t next = span * config_.heads + head;
    merge_bf16(span_state_ + next * 2, span_out_ + next * lora, lora, state, o);
  }
  const float inverse = 1.0f / state[1];
  for (int64_t c = 0; c < lora; ++c) out[c] = o[c] * inverse;
}

// o_i = W_UV,i u_i
void Mla::expand_outputs(const Attention& w, const Run& rows, int64_t head, Scratch& scratch) {
  const int64_t lora = config_.kv_lora_rank;
  const int64_t v = config_.v_dim;
  const bool joint = w.kv_b.data != nullptr;
  const Matrix& matrix = joint ? w.kv_b : w.v_b;
  const int64_t first = joint ? head * (config_.qk_nope_dim + v) + config_.qk_nope_dim : head * v;
  const auto activation = activation_for(context_.precision, matrix.type);
  const Prepared x =
      prepare(context_, activation, latent_out_ + (rows.first_slot * config_.heads + head) * lora,
              config_.heads * lora, rows.rows, lora, scratch.prepared);
  context_.kernels.matmul({&matrix, first, first + v, activation, x.data, x.stride, rows.rows,
                           out_ + (rows.first_row * config_.heads + head) * v, config_.heads * v});
}

}  // namespace hadal::model
