// MLA, expanded form, on BF16 (attention_bf16.h): all heads of all prompts walk their pages
// together, window by window. The latents of a window are brought once into the form that products
// take, for all heads; then each head of each prompt, one task, rebuilds its keys and values, some
// pages at a time, and all its queries attend to them.
#include <algorithm>

#include "base/scalar.h"
#include "kernels/attend.h"
#include "model/mla.h"

namespace hadal::model {
namespace {

constexpr int64_t page_tokens = KvCache::page_tokens;
// Positions whose latents are held ready for products.
constexpr int64_t window = 16 * page_tokens;
// Positions that are rebuilt together: enough for the products to use each weight often, few enough
// for keys, values and the products' results to stay in the second-level cache.
constexpr int64_t piece = 4 * page_tokens;

int64_t end_of(const Segment& segment) {
  return segment.start + static_cast<int64_t>(segment.tokens.size());
}

}  // namespace

void Mla::attend_expanded_bf16(const Attention& w, const Batch& batch, const KvCache& cache,
                               int64_t layer) {
  start_walks(batch);
  int64_t end = 0;
  for (const int64_t s : expanded_)
    end = std::max(end, end_of(batch.segments[static_cast<size_t>(s)]));
  const int64_t heads = config_.heads;
  const auto tasks = static_cast<int64_t>(walks_.size());
  for (int64_t first = 0; first < end; first += window) {
    prepare_window(w, batch, cache, layer, first);
    context_.pool.parallel_for(tasks, 1, [&](int64_t begin, int64_t task_end, int thread) {
      for (int64_t task = begin; task < task_end; ++task)
        attend_window(w, batch, task / heads, task % heads, first,
                      scratch_[static_cast<size_t>(thread)]);
    });
  }
  const int64_t stride = heads * config_.v_dim;
  context_.pool.parallel_for(tasks, 1, [&](int64_t begin, int64_t task_end, int) {
    for (int64_t task = begin; task < task_end; ++task) {
      const auto segment = static_cast<size_t>(expanded_[static_cast<size_t>(task / heads)]);
      walks_[static_cast<size_t>(task)].finish(
          out_ + batch.first_row[segment] * stride + task % heads * config_.v_dim, stride);
    }
  });
}

// The walk of each head of each expanded segment. Its outputs lie together until the end: in the
// rows of all heads they would be kilobytes apart, a power of two, which few sets of a cache hold.
void Mla::start_walks(const Batch& batch) {
  const auto rows_of = [&](int64_t s) {
    return static_cast<int64_t>(batch.segments[static_cast<size_t>(s)].tokens.size());
  };
  int64_t states = 0, packed_size = 0;
  for (const int64_t s : expanded_) {
    states += config_.heads * 2 * rows_of(s);
    packed_size += config_.heads * kernels::packed_queries_size(rows_of(s), key_dim_);
  }
  float* state = state_buffer_.get(states);
  float* o = span_buffer_.get(states / 2 * config_.v_dim);
  auto* packed = reinterpret_cast<uint16_t*>(packed_buffer_.bytes(2 * packed_size));
  walks_.clear();
  for (const int64_t s : expanded_) {
    for (int64_t head = 0; head < config_.heads; ++head) {
      Queries queries = head_queries(batch, s, head, state);
      queries.o = o;
      queries.o_stride = config_.v_dim;
      o += rows_of(s) * config_.v_dim;
      walks_.emplace_back(context_, queries, packed);
      state += 2 * rows_of(s);
      packed += kernels::packed_queries_size(rows_of(s), key_dim_);
    }
  }
  context_.pool.parallel_for(static_cast<int64_t>(walks_.size()), 1,
                             [&](int64_t begin, int64_t end, int) {
                               for (int64_t i = begin; i < end; ++i) {
                                 walks_[static_cast<size_t>(i)].pack();
                                 walks_[static_cast<size_t>(i)].start();
                               }
                             });
}

int64_t Mla::latent_stride() const {
  return kernels::attend_padded(config_.kv_lora_rank, kernels::attend_step);
}

// The latents of positions [first, first + window) of each expanded segment.
void Mla::prepare_window(const Attention& w, const Batch& batch, const KvCache& cache,
                         int64_t layer, int64_t first) {
  const int64_t lora = config_.kv_lora_rank;
  const auto segments = static_cast<int64_t>(expanded_.size());
  const Matrix& matrix = w.kv_b.data != nullptr ? w.kv_b : w.v_b;
  const auto activation = activation_for(context_.precision, matrix.type);
  latents_ =
      reinterpret_cast<uint16_t*>(latents_buffer_.bytes(2 * segments * window * latent_stride()));
  ropes_ =
      reinterpret_cast<uint16_t*>(ropes_buffer_.bytes(2 * segments * window * config_.qk_rope_dim));
  prepared_stride_ = kernels::activation_bytes(activation, lora);
  prepared_ = prepared_buffer_.bytes(segments * window * prepared_stride_);
  constexpr int64_t pages = window / page_tokens;
  context_.pool.parallel_for(segments * pages, 1, [&](int64_t begin, int64_t end, int thread) {
    Scratch& scratch = scratch_[static_cast<size_t>(thread)];
    float* row = scratch.latents.get(lora);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t expanded = expanded_[static_cast<size_t>(i / pages)];
      const Segment& segment = batch.segments[static_cast<size_t>(expanded)];
      const int64_t position = first + i % pages * page_tokens;
      const int64_t n = std::min(page_tokens, end_of(segment) - position);
      if (n <= 0) continue;
      const auto entries = bf16_rows(context_.kernels, cache, layer, segment,
                                     position / page_tokens, n, scratch.bf16_keys);
      for (int64_t j = 0; j < n; ++j) {
        const int64_t to = i * page_tokens + j;
        uint16_t* latent = latents_ + to * latent_stride();
        const auto* entry = static_cast<const uint16_t*>(entries.data) + j * entries.stride;
        std::copy_n(entry, lora, latent);
        std::copy_n(entry + lora, config_.qk_rope_dim, ropes_ + to * config_.qk_rope_dim);
        std::fill_n(latent + lora, latent_stride() - lora, uint16_t{0});
        for (int64_t c = 0; c < lora; ++c) row[c] = bf16_to_float(latent[c]);
        prepare_rows(context_, activation, row, lora, 1, lora, prepared_ + to * prepared_stride_,
                     prepared_stride_);
      }
    }
  });
}

// One head of one segment on its way through a window.
void Mla::attend_window(const Attention& w, const Batch& batch, int64_t expanded, int64_t head,
                        int64_t first, Scratch& scratch) {
  const Segment& segment =
      batch.segments[static_cast<size_t>(expanded_[static_cast<size_t>(expanded)])];
  Bf16Walk& walk = walks_[static_cast<size_t>(expanded * config_.heads + head)];
  const int64_t stride = kernels::attend_padded(key_dim_, kernels::attend_step);
  const int64_t end = std::min(first + window, end_of(segment));
  for (int64_t begin = first; begin < end; begin += piece) {
    const int64_t n = std::min(piece, end - begin);
    const int64_t row = expanded * window + begin - first;
    expand_piece(w, head, row, n, scratch);
    auto* keys = reinterpret_cast<uint16_t*>(scratch.bf16_keys.bytes(0));
    const auto* values = reinterpret_cast<const uint16_t*>(scratch.bf16_values.bytes(0));
    for (int64_t j = 0; j < n; j += page_tokens) {
      const int64_t count = std::min(page_tokens, n - j);
      for (int64_t i = 0; i < count; ++i)
        std::copy_n(ropes_ + (row + j + i) * config_.qk_rope_dim, config_.qk_rope_dim,
                    keys + (j + i) * stride + config_.qk_nope_dim);
      walk.attend_page({quant::Type::BF16, keys + j * stride, count, stride},
                       {quant::Type::BF16, values + j * config_.v_dim, count, config_.v_dim},
                       begin + j, {}, scratch.attend);
    }
  }
}

// k_i = W_UK,i c into scratch.bf16_keys, [n, nope + rope rounded up], and v_i = W_UV,i c into
// scratch.bf16_values, [n, v], of n rows of the window.
void Mla::expand_piece(const Attention& w, int64_t head, int64_t row, int64_t n, Scratch& scratch) {
  const auto& k = context_.kernels;
  const int64_t nope = config_.qk_nope_dim;
  const int64_t v = config_.v_dim;
  const bool joint = w.kv_b.data != nullptr;
  const Matrix& matrix = joint ? w.kv_b : w.v_b;
  const auto activation = activation_for(context_.precision, matrix.type);
  const int64_t width = nope + v;
  float* both = scratch.values.get(piece * width);  // [n, nope + v]
  const int64_t first = head * (joint ? width : v);
  const int64_t last = first + (joint ? width : v);
  k.matmul({&matrix, first, last, activation, prepared_ + row * prepared_stride_, prepared_stride_,
            n, joint ? both : both + nope, width});
  if (!joint) expand_keys_transposed(w.k_b, head, row, n, both, width, scratch);
  const int64_t stride = kernels::attend_padded(key_dim_, kernels::attend_step);
  auto* keys = reinterpret_cast<uint16_t*>(scratch.bf16_keys.bytes(2 * piece * stride));
  auto* values = reinterpret_cast<uint16_t*>(scratch.bf16_values.bytes(2 * piece * v));
  for (int64_t j = 0; j < n; ++j) {
    k.float_to_bf16(both + j * width, nope, keys + j * stride);
    std::fill_n(keys + j * stride + key_dim_, stride - key_dim_, uint16_t{0});
    k.float_to_bf16(both + j * width + nope, v, values + j * v);
  }
}

// k_b holds W_UK transposed, which is rounded to BF16.
void Mla::expand_keys_transposed(const Matrix& k_b, int64_t head, int64_t row, int64_t n,
                                 float* keys, int64_t stride, Scratch& scratch) {
  const auto& k = context_.kernels;
  const int64_t lora = config_.kv_lora_rank;
  float* decoded = scratch.row.get(k_b.cols);
  auto* weights = reinterpret_cast<uint16_t*>(scratch.bf16_weights.bytes(2 * lora * k_b.cols));
  for (int64_t r = 0; r < lora; ++r) {
    k.decode_row(&k_b, head * lora + r, decoded);
    k.float_to_bf16(decoded, k_b.cols, weights + r * k_b.cols);
  }
  void* work = scratch.attend.bytes(kernels::transposed_scratch_bytes(piece, lora, k_b.cols));
  k.transposed_bf16({latents_ + row * latent_stride(), latent_stride(), n, weights, k_b.cols, lora,
                     k_b.cols, keys, stride, work});
}

}  // namespace hadal::model
