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
  std::span<float> gather(std::span<const Segment> segments, const float* x);
  void join(const MtpLayer& w, std::span<const Segment> segments, const float* hidden, float* x);

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
  // Of the pass that is under way:
  KvCache* cache = nullptr;
  Trace* trace = nullptr;
  int64_t next_layer = 0;
  float* states = nullptr;  // [rows, hidden]
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
  begin(cache, segments, trace);
  while (advance()) {
  }
  return finish();
}

void Runner::begin(KvCache& cache, std::span<const Segment> segments, Trace* trace) {
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
  m.cache = &cache;
  m.trace = trace;
  m.next_layer = 0;
  m.states = m.x_buffer.get(rows * hidden);
  for (size_t s = 0; s < segments.size(); ++s)
    m.embed(segments[s].tokens, m.states + m.batch.first_row[s] * hidden, hidden);
}

bool Runner::advance() {
  Impl& m = *impl_;
  HADAL_CHECK(m.next_layer < m.config.layers, "all layers are computed");
  const int64_t layer = m.next_layer++;
  const auto i = static_cast<size_t>(layer);
  m.block.forward(m.model.layers[i], m.batch, *m.cache, layer, m.states,
                  m.trace != nullptr ? &m.trace->routers[i] : nullptr);
  if (m.trace != nullptr)
    m.trace->hidden[i].assign(m.states, m.states + m.batch.rows() * m.config.hidden_size);
  return m.next_layer < m.config.layers;
}

std::span<const float> Runner::finish() {
  Impl& m = *impl_;
  const ModelConfig& config = m.config;
  const int64_t hidden = config.hidden_size;
  HADAL_CHECK(m.next_layer == config.layers, "{} of {} layers", m.next_layer, config.layers);
  if (m.trace != nullptr) {
    const int64_t rows = m.batch.rows();
    float* normed = m.normed_buffer.get(rows * hidden);
    norm_rows(m.context, m.states, m.model.final_norm, config.rms_norm_eps, rows, normed);
    m.trace->final_hidden.assign(normed, normed + rows * hidden);
  }
  // Only rows whose logits are wanted go through the last norm and the head.
  const std::span<float> kept = m.gather(m.batch.segments, m.states);
  const auto wanted = static_cast<int64_t>(kept.size()) / hidden;
  norm_rows(m.context, kept.data(), m.model.final_norm, config.rms_norm_eps, wanted, kept.data());
  float* logits = m.logits_buffer.get(wanted * config.vocab_size);
  m.head(kept.data(), wanted, logits);
  return {logits, static_cast<size_t>(wanted * config.vocab_size)};
}

void Runner::final_hidden(int64_t first, int64_t n, float* out) {
  Impl& m = *impl_;
  const int64_t hidden = m.config.hidden_size;
  HADAL_CHECK(first >= 0 && first + n <= m.batch.rows(), "rows {} to {} of {}", first, first + n,
              m.batch.rows());
  norm_rows(m.context, m.x_buffer.get(0) + first * hidden, m.model.final_norm,
            m.config.rms_norm_eps, n, out);
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

// The rows of x whose logits are wanted, one after another: [wanted, hidden].
std::span<float> Runner::Impl::gather(std::span<const Segment> segments, const float* x) {
  const int64_t hidden = config.hidden_size;
  const auto wanted_of = [](const Segment& s) {
    return std::max<int64_t>(0, static_cast<int64_t>(s.tokens.size()) - s.logits_from);
  };
  int64_t wanted = 0;
  for (const Segment& s : segments) wanted += wanted_of(s);
  float* kept = wanted_buffer.get(wanted * hidden);
  float* out = kept;
  for (size_t s = 0; s < segments.size(); ++s) {
    const int64_t n = wanted_of(segments[s]);
    if (n == 0) continue;
    std::memcpy(out, x + (batch.first_row[s] + segments[s].logits_from) * hidden,
                static_cast<size_t>(n * hidden) * sizeof(float));
    out += n * hidden;
  }
  return {kept, static_cast<size_t>(wanted * hidden)};
}

// ---- multi-token prediction (DeepSeek-V3, arXiv 2412.19437, 2.2)

// x_i = W_eh [enorm(emb(t_{i+1})) ; hnorm(h_i)]
void Runner::Impl::join(const MtpLayer& w, std::span<const Segment> segments, const float* hidden,
                        float* x) {
  const int64_t width = config.hidden_size;
  const int64_t rows = batch.rows();
  const auto eps = static_cast<float>(config.rms_norm_eps);
  float* joined = joined_buffer.get(rows * 2 * width);
  for (size_t s = 0; s < segments.size(); ++s)
    embed(segments[s].tokens, joined + batch.first_row[s] * 2 * width, 2 * width);
  context.pool.parallel_for(rows, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      float* row = joined + i * 2 * width;
      context.kernels.rms_norm(row, w.enorm.data(), eps, width, row);
      context.kernels.rms_norm(hidden + i * width, w.hnorm.data(), eps, width, row + width);
    }
  });
  joined_input.set(head_context, joined, 2 * width, rows, 2 * width);
  const kernels::Matmul products[] = {joined_input.product(w.eh_proj, x, width)};
  run(context, products);
}

Runner::Predicted Runner::forward_mtp(KvCache& cache, std::span<const Segment> segments,
                                      std::span<const float> hidden, Trace* trace) {
  Impl& m = *impl_;
  const ModelConfig& config = m.config;
  HADAL_CHECK(!m.model.mtp.empty(), "the model has no MTP layer");
  const MtpLayer& w = m.model.mtp.front();
  m.batch.set(m.context, segments, m.rope);
  const int64_t rows = m.batch.rows();
  HADAL_CHECK(rows <= m.tokens_max, "{} rows, at most {}", rows, m.tokens_max);
  HADAL_CHECK(static_cast<int64_t>(hidden.size()) >= rows * config.hidden_size,
              "{} hidden states for {} rows", hidden.size(), rows);
  if (trace != nullptr) trace->routers.assign(static_cast<size_t>(config.layers) + 1, {});
  float* x = m.x_buffer.get(rows * config.hidden_size);
  m.join(w, segments, hidden.data(), x);
  m.block.forward(w.layer, m.batch, cache, config.layers, x,
                  trace != nullptr ? &trace->routers.back() : nullptr);
  const std::span<float> kept = m.gather(segments, x);
  const auto wanted = static_cast<int64_t>(kept.size()) / config.hidden_size;
  norm_rows(m.context, kept.data(), w.norm, config.rms_norm_eps, wanted, kept.data());
  float* logits = m.logits_buffer.get(wanted * config.vocab_size);
  m.head(kept.data(), wanted, logits);
  return {{logits, static_cast<size_t>(wanted * config.vocab_size)}, kept};
}

}  // namespace hadal::model
