#include "model/forward.h"

#include <algorithm>
#include <cstring>

#include "model/block.h"
#include "model/norm.h"

namespace hadal::model {

struct Runner::Impl {
  Impl(const Model& m, Precision precision, ThreadPool& pool, int64_t rows_max)
      : model(m),
        config(m.config),
        context{kernels::active(), pool, precision},
        head_context(unrounded(context)),
        tokens_max(rows_max),
        rope(config.rope, config.is_mla() ? config.qk_rope_dim : config.head_dim),
        block(context, config) {}

  void embed(std::span<const int32_t> tokens, float* out, int64_t stride);
  void head(const float* normed, int64_t n, float* logits);
  void mtp_chunk(KvCache& cache, std::span<const int32_t> tokens,
                 std::span<const float> final_hidden, std::span<const int32_t> pages, int64_t start,
                 int64_t n, Trace* trace);

  const Model& model;
  const ModelConfig& config;
  const Context context;
  const Context head_context;  // logits are never computed from rounded states
  const int64_t tokens_max;
  const Rope rope;
  Batch batch;
  Block block;
  Buffer x_buffer, normed_buffer, wanted_buffer, joined_buffer, logits_buffer;
  Input head_input, joined_input;
};

// Rows of the embedding, `stride` floats apart.
void Runner::Impl::embed(std::span<const int32_t> tokens, float* out, int64_t stride) {
  const auto n = static_cast<int64_t>(tokens.size());
  context.pool.parallel_for(n, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i)
      context.kernels.decode_row(&model.embedding, tokens[static_cast<size_t>(i)],
                                 out + i * stride);
  });
}

void Runner::Impl::head(const float* normed, int64_t n, float* logits) {
  if (n == 0) return;
  head_input.set(head_context, normed, config.hidden_size, n, config.hidden_size);
  const kernels::Matmul products[] = {head_input.product(model.head, logits, config.vocab_size)};
  run(context, products);
}

Runner::Runner(const Model& model, Precision precision, ThreadPool& pool, int64_t tokens_max)
    : impl_(std::make_unique<Impl>(model, precision, pool, tokens_max)) {}
Runner::~Runner() = default;

std::span<const float> Runner::forward(KvCache& cache, std::span<const Segment> segments,
                                       Trace* trace) {
  Impl& m = *impl_;
  const ModelConfig& config = m.config;
  const int64_t hidden = config.hidden_size;
  m.batch.set(m.context, segments, m.rope);
  const int64_t rows = m.batch.rows();
  HADAL_CHECK(rows <= m.tokens_max, "{} rows, at most {}", rows, m.tokens_max);
  if (trace != nullptr) {
    trace->hidden.assign(static_cast<size_t>(config.layers), {});
    trace->routers.assign(static_cast<size_t>(config.layers), {});
  }

  float* x = m.x_buffer.get(rows * hidden);
  for (size_t s = 0; s < segments.size(); ++s)
    m.embed(segments[s].tokens, x + m.batch.first_row[s] * hidden, hidden);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const auto i = static_cast<size_t>(layer);
    m.block.forward(m.model.layers[i], m.batch, cache, layer, x,
                    trace != nullptr ? &trace->routers[i] : nullptr);
    if (trace != nullptr) trace->hidden[i].assign(x, x + rows * hidden);
  }

  if (trace != nullptr) {
    float* normed = m.normed_buffer.get(rows * hidden);
    norm_rows(m.context, x, m.model.final_norm, config.rms_norm_eps, rows, normed);
    trace->final_hidden.assign(normed, normed + rows * hidden);
  }
  // Only rows whose logits are wanted go through the last norm and the head.
  int64_t wanted = 0;
  for (const Segment& s : segments)
    wanted += std::max<int64_t>(0, static_cast<int64_t>(s.tokens.size()) - s.logits_from);
  float* kept = m.wanted_buffer.get(wanted * hidden);
  int64_t filled = 0;
  for (size_t s = 0; s < segments.size(); ++s) {
    const auto count = static_cast<int64_t>(segments[s].tokens.size());
    const int64_t n = std::max<int64_t>(0, count - segments[s].logits_from);
    if (n == 0) continue;
    std::memcpy(kept + filled * hidden,
                x + (m.batch.first_row[s] + segments[s].logits_from) * hidden,
                static_cast<size_t>(n * hidden) * sizeof(float));
    filled += n;
  }
  norm_rows(m.context, kept, m.model.final_norm, config.rms_norm_eps, wanted, kept);
  float* logits = m.logits_buffer.get(wanted * config.vocab_size);
  m.head(kept, wanted, logits);
  return {logits, static_cast<size_t>(wanted * config.vocab_size)};
}

const Model& Runner::model() const {
  return impl_->model;
}
Precision Runner::precision() const {
  return impl_->context.precision;
}
int64_t Runner::tokens_max() const {
  return impl_->tokens_max;
}

// ---- multi-token prediction (DeepSeek-V3, arXiv 2412.19437, 2.2)

std::span<const float> Runner::forward_mtp(KvCache& cache, std::span<const int32_t> tokens,
                                           std::span<const float> final_hidden,
                                           std::span<const int32_t> pages, Trace* trace) {
  Impl& m = *impl_;
  HADAL_CHECK(!m.model.mtp.empty(), "the model has no MTP layer");
  const int64_t rows = std::max<int64_t>(0, static_cast<int64_t>(tokens.size()) - 1);
  HADAL_CHECK(static_cast<int64_t>(final_hidden.size()) >= rows * m.config.hidden_size,
              "{} hidden states for {} rows", final_hidden.size(), rows);
  if (trace != nullptr) {
    trace->routers.resize(static_cast<size_t>(m.config.layers) + 1);
    trace->routers.back() = {};
  }
  m.logits_buffer.get(rows * m.config.vocab_size);
  for (int64_t start = 0; start < rows; start += m.tokens_max)
    m.mtp_chunk(cache, tokens, final_hidden, pages, start, std::min(m.tokens_max, rows - start),
                trace);
  return {m.logits_buffer.get(0), static_cast<size_t>(rows * m.config.vocab_size)};
}

// x_i = W_eh [enorm(emb(t_{i+1})) ; hnorm(h_i)], one layer, norm, head; rows [start, start + n).
void Runner::Impl::mtp_chunk(KvCache& cache, std::span<const int32_t> tokens,
                             std::span<const float> final_hidden, std::span<const int32_t> pages,
                             int64_t start, int64_t n, Trace* trace) {
  const MtpLayer& w = model.mtp.front();
  const int64_t hidden = config.hidden_size;
  const auto eps = static_cast<float>(config.rms_norm_eps);
  const Segment segment{
      .tokens = tokens.subspan(static_cast<size_t>(start), static_cast<size_t>(n)),
      .start = start,
      .pages = pages,
      .form = AttentionForm::expanded,
      .logits_from = 0};
  batch.set(context, std::span(&segment, 1), rope);
  float* joined = joined_buffer.get(n * 2 * hidden);
  embed(tokens.subspan(static_cast<size_t>(start) + 1, static_cast<size_t>(n)), joined, 2 * hidden);
  context.pool.parallel_for(n, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      float* row = joined + i * 2 * hidden;
      context.kernels.rms_norm(row, w.enorm.data(), eps, hidden, row);
      context.kernels.rms_norm(final_hidden.data() + (start + i) * hidden, w.hnorm.data(), eps,
                               hidden, row + hidden);
    }
  });
  float* x = x_buffer.get(n * hidden);
  joined_input.set(head_context, joined, 2 * hidden, n, 2 * hidden);
  const kernels::Matmul products[] = {joined_input.product(w.eh_proj, x, hidden)};
  run(context, products);
  block.forward(w.layer, batch, cache, config.layers, x,
                trace != nullptr ? &trace->routers.back() : nullptr);
  norm_rows(context, x, w.norm, config.rms_norm_eps, n, x);
  head(x, n, logits_buffer.get(0) + start * config.vocab_size);
}

}  // namespace hadal::model
