#include "model/moe.h"

#include <algorithm>

namespace hadal::model {
namespace {

// Sorted rows that are computed together: bounds the buffers (29 MB of outputs for V3's width), and
// is large enough that the experts of a decode step always fit in one go.
constexpr int64_t wave_rows = 1024;

}  // namespace

Moe::Moe(const Context& context, const ModelConfig& config)
    : context_(context),
      config_(config),
      routers_(static_cast<size_t>(context.pool.threads()), Router(config)) {}

void Moe::forward(const Experts& w, const float* xn, Input& x, int64_t n, float* y,
                  Trace::Router* trace) {
  const int64_t k = config_.experts_per_token;
  const int64_t shared_width = config_.shared_experts * config_.moe_intermediate_size;
  route(w, xn, x, n);
  sort_rows(n);
  if (trace != nullptr) {
    trace->experts.insert(trace->experts.end(), experts_.begin(), experts_.begin() + n * k);
    trace->weights.insert(trace->weights.end(), weights_.begin(), weights_.begin() + n * k);
  }
  std::fill_n(y, n * config_.hidden_size, 0.0f);
  for (int64_t begin = 0; begin < n * k;) {
    const Wave wave = next_wave(begin);
    const bool first = begin == 0;
    products_.clear();
    expert_products_in(w, x, wave);
    run(context_, products_);
    activate(gate_, up_, wave.end - wave.begin, config_.moe_intermediate_size);
    products_.clear();
    if (first && shared_out_ != nullptr) {
      shared_hidden_.set(context_, shared_gate_, shared_width, n, shared_width);
      products_.push_back(shared_hidden_.product(w.shared.down, shared_out_, config_.hidden_size));
    }
    expert_products_out(w, wave);
    run(context_, products_);
    accumulate(n, wave, wave.end == n * k, y);
    begin = wave.end;
  }
}

// The choice of experts for each row; the shared expert's first products ride along. The router's
// input is never rounded: near ties decide which experts a token sees.
void Moe::route(const Experts& w, const float* xn, Input& x, int64_t n) {
  const int64_t k = config_.experts_per_token;
  const int64_t hidden = config_.hidden_size;
  const int64_t shared_width = config_.shared_experts * config_.moe_intermediate_size;
  float* logits = logits_buffer_.get(n * config_.experts);
  products_.clear();
  products_.push_back({&w.router, 0, config_.experts, kernels::Activation::f32, xn,
                       hidden * static_cast<int64_t>(sizeof(float)), n, logits, config_.experts});
  shared_out_ = nullptr;
  float* shared_up = nullptr;
  if (w.shared.gate.data != nullptr) {
    shared_gate_ = shared_gate_buffer_.get(n * shared_width);
    shared_up = shared_up_buffer_.get(n * shared_width);
    shared_out_ = shared_out_buffer_.get(n * hidden);
    products_.push_back(x.product(w.shared.gate, shared_gate_, shared_width));
    products_.push_back(x.product(w.shared.up, shared_up, shared_width));
  }
  run(context_, products_);
  experts_.resize(static_cast<size_t>(n * k));
  weights_.resize(static_cast<size_t>(n * k));
  context_.pool.parallel_for(n, 4, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t r = begin; r < end; ++r)
      routers_[static_cast<size_t>(thread)].choose(context_.kernels, logits + r * config_.experts,
                                                   w.correction_bias, experts_.data() + r * k,
                                                   weights_.data() + r * k);
  });
  if (shared_out_ != nullptr) activate(shared_gate_, shared_up, n, shared_width);
}

// Counting sort: by expert, within an expert by row.
void Moe::sort_rows(int64_t n) {
  const auto k = static_cast<size_t>(config_.experts_per_token);
  const size_t count = static_cast<size_t>(n) * k;
  offsets_.assign(static_cast<size_t>(config_.experts) + 1, 0);
  for (size_t i = 0; i < count; ++i) ++offsets_[static_cast<size_t>(experts_[i]) + 1];
  for (size_t e = 1; e < offsets_.size(); ++e) offsets_[e] += offsets_[e - 1];
  cursor_.assign(offsets_.begin(), offsets_.end() - 1);
  places_.resize(count);
  sorted_.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const auto place = static_cast<size_t>(cursor_[static_cast<size_t>(experts_[i])]++);
    places_[i] = static_cast<int32_t>(place);
    sorted_[place] = static_cast<int32_t>(i / k);
  }
}

// Ends with an expert where possible: an expert that is cut is read twice.
Moe::Wave Moe::next_wave(int64_t begin) const {
  const int64_t limit = begin + wave_rows;
  if (offsets_.back() <= limit) return {begin, offsets_.back()};
  const int64_t whole = *(std::upper_bound(offsets_.begin(), offsets_.end(), limit) - 1);
  return {begin, whole > begin ? whole : limit};
}

void Moe::expert_products_in(const Experts& w, Input& x, Wave wave) {
  const int64_t width = config_.moe_intermediate_size;
  const int64_t rows = wave.end - wave.begin;
  gate_ = gate_buffer_.get(rows * width);
  up_ = up_buffer_.get(rows * width);
  gathered_.gather(
      context_, x,
      std::span(sorted_).subspan(static_cast<size_t>(wave.begin), static_cast<size_t>(rows)));
  for (size_t e = 0; e < w.routed.size(); ++e) {
    const int64_t first = std::max(offsets_[e], wave.begin) - wave.begin;
    const int64_t count = std::min(offsets_[e + 1], wave.end) - wave.begin - first;
    if (count <= 0) continue;
    const Mlp& expert = w.routed[e];
    products_.push_back(
        gathered_.product(expert.gate, 0, width, first, count, gate_ + first * width, width));
    products_.push_back(
        gathered_.product(expert.up, 0, width, first, count, up_ + first * width, width));
  }
}

void Moe::expert_products_out(const Experts& w, Wave wave) {
  const int64_t width = config_.moe_intermediate_size;
  const int64_t hidden = config_.hidden_size;
  const int64_t rows = wave.end - wave.begin;
  out_ = out_buffer_.get(rows * hidden);
  hidden_.set(context_, gate_, width, rows, width);
  for (size_t e = 0; e < w.routed.size(); ++e) {
    const int64_t first = std::max(offsets_[e], wave.begin) - wave.begin;
    const int64_t count = std::min(offsets_[e + 1], wave.end) - wave.begin - first;
    if (count <= 0) continue;
    products_.push_back(
        hidden_.product(w.routed[e].down, 0, hidden, first, count, out_ + first * hidden, hidden));
  }
}

void Moe::activate(float* gate, const float* up, int64_t n, int64_t width) {
  context_.pool.parallel_for(n, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      context_.kernels.silu_mul(gate + r * width, up + r * width, width, gate + r * width);
  });
}

// y += g_e out_e for the experts of this wave; after the last of them, the shared expert.
void Moe::accumulate(int64_t n, Wave wave, bool last, float* y) {
  const int64_t k = config_.experts_per_token;
  const int64_t hidden = config_.hidden_size;
  context_.pool.parallel_for(n, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t i = r * k; i < (r + 1) * k; ++i) {
        const int64_t place = places_[static_cast<size_t>(i)];
        if (place < wave.begin || place >= wave.end) continue;
        context_.kernels.add_scaled(weights_[static_cast<size_t>(i)],
                                    out_ + (place - wave.begin) * hidden, hidden, y + r * hidden);
      }
      if (last && shared_out_ != nullptr)
        context_.kernels.add_scaled(1.0f, shared_out_ + r * hidden, hidden, y + r * hidden);
    }
  });
}

}  // namespace hadal::model
