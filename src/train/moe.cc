#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "train/feed_forward.h"
#include "train/profile.h"

namespace hadal::train {
namespace {

// The router's products are never rounded: near ties decide which experts a token sees.
Context exact(Context context) {
  context.precision = model::Precision::f32;
  return context;
}

void by_rows(const Context& context, int64_t n, int64_t width, const float* from, float scale,
             float* to) {
  context.pool.parallel_for(n, 16, [&](int64_t begin, int64_t end, int) {
    context.kernels.add_scaled(scale, from + begin * width, (end - begin) * width,
                               to + begin * width);
  });
}

}  // namespace

MoeLayer::MoeLayer(const model::ModelConfig& config, Parameters& parameters,
                   const std::string& prefix)
    : c_(config), router_(parameters, prefix + "gate", config.experts, config.hidden_size) {
  if (config.scoring == model::Scoring::sigmoid)
    bias_ = &parameters.add(prefix + "gate.e_score_correction_bias", {config.experts}, false);
  experts_.reserve(static_cast<size_t>(config.experts));
  for (int64_t e = 0; e < config.experts; ++e)
    experts_.emplace_back(parameters, prefix + "experts." + std::to_string(e) + ".",
                          config.hidden_size, config.moe_intermediate_size);
  if (config.shared_experts > 0)
    shared_ = FeedForward(parameters, prefix + "shared_experts.", config.hidden_size,
                          config.shared_experts * config.moe_intermediate_size);
}

void MoeLayer::load(const Context& context, const model::Experts& weights) {
  router_.load(context, weights.router);
  if (bias_ != nullptr) load_values(*bias_, weights.correction_bias);
  for (size_t e = 0; e < experts_.size(); ++e) experts_[e].load(context, weights.routed[e]);
  if (shared_) shared_.load(context, weights.shared);
}

void MoeLayer::refresh(const Context& context) {
  router_.refresh(exact(context));
  for (FeedForward& expert : experts_) expert.refresh(context);
  if (shared_) shared_.refresh(context);
}

void MoeLayer::route(const Context& context, const float* x, int64_t n) {
  const Timed timed(Part::router_forward);
  const int64_t experts = c_.experts, k = c_.experts_per_token;
  scores_ = scores_buffer_.get(n * experts);
  router_.forward(exact(context), x, n, scores_);
  chosen_.resize(static_cast<size_t>(n * k));
  weights_.resize(chosen_.size());
  places_.resize(chosen_.size());
  const std::span<const float> bias =
      bias_ != nullptr ? std::span<const float>(bias_->value, static_cast<size_t>(experts))
                       : std::span<const float>{};
  std::vector<model::Router> routers(static_cast<size_t>(context.pool.threads()),
                                     model::Router(c_));
  context.pool.parallel_for(n, 16, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t r = begin; r < end; ++r)  // leaves the scores in the place of the logits
      routers[static_cast<size_t>(thread)].choose(context.kernels, scores_ + r * experts, bias,
                                                  chosen_.data() + r * k, weights_.data() + r * k);
  });
  offsets_.assign(static_cast<size_t>(experts) + 1, 0);
  for (const int32_t e : chosen_) ++offsets_[static_cast<size_t>(e) + 1];
  stats_.load.assign(offsets_.begin() + 1, offsets_.end());
  for (size_t e = 1; e < offsets_.size(); ++e) offsets_[e] += offsets_[e - 1];
  std::vector<int64_t> cursor(offsets_.begin(), offsets_.end() - 1);
  for (size_t i = 0; i < chosen_.size(); ++i)
    places_[i] = cursor[static_cast<size_t>(chosen_[i])]++;
}

// Equations 17 to 20: f_e counts how often e is among the k best plain scores, P_e is the mean of
// its share of the scores; over each sequence.
void MoeLayer::count_balance(const Batch& batch) {
  const Timed timed(Part::router_forward);
  const auto experts = static_cast<size_t>(c_.experts);
  const auto k = static_cast<size_t>(c_.experts_per_token);
  const size_t sequences = batch.sequences.size() - 1;
  frequencies_.assign(sequences * experts, 0.0f);
  stats_.balance = 0;
  std::vector<size_t> order(experts);
  for (size_t s = 0; s < sequences; ++s) {
    std::vector<double> shares(experts);
    float* frequency = frequencies_.data() + s * experts;
    const int64_t begin = batch.sequences[s], end = batch.sequences[s + 1];
    for (int64_t r = begin; r < end; ++r) {
      const float* score = scores_ + r * c_.experts;
      double sum = 0;
      for (size_t e = 0; e < experts; ++e) {
        sum += static_cast<double>(score[e]);
        order[e] = e;
      }
      for (size_t e = 0; e < experts; ++e) shares[e] += static_cast<double>(score[e]) / sum;
      std::partial_sort(order.begin(), order.begin() + static_cast<int64_t>(k), order.end(),
                        [&](size_t a, size_t b) {
                          return score[a] > score[b] || (score[a] == score[b] && a < b);
                        });
      for (size_t i = 0; i < k; ++i) frequency[order[i]] += 1.0f;
    }
    const auto rows = static_cast<double>(end - begin);
    for (size_t e = 0; e < experts; ++e) {
      frequency[e] *=
          static_cast<float>(static_cast<double>(experts) / (static_cast<double>(k) * rows));
      stats_.balance +=
          static_cast<double>(frequency[e]) * shares[e] / rows / static_cast<double>(sequences);
    }
  }
}

// Lets every expert with rows [first, first + count) of the sorted ones name its products, and runs
// them all.
void MoeLayer::run_experts(const Context& context, std::vector<kernels::Matmul>& products,
                           const std::function<void(FeedForward&, int64_t, int64_t)>& name) {
  products.clear();
  for (size_t e = 0; e < experts_.size(); ++e) {
    const int64_t count = offsets_[e + 1] - offsets_[e];
    if (count > 0) name(experts_[e], offsets_[e], count);
  }
  model::run(context, products);
}

void MoeLayer::forward(const Context& context, const Batch& batch, const float* x, float* y) {
  const Timed timed(Part::experts_forward);
  const int64_t n = batch.rows(), k = c_.experts_per_token, hidden = c_.hidden_size;
  const int64_t width = c_.moe_intermediate_size;
  route(context, x, n);
  count_balance(batch);
  sorted_ = sorted_buffer_.get(n * k * hidden);
  gate_ = gate_buffer_.get(n * k * width);
  up_ = up_buffer_.get(n * k * width);
  hidden_ = hidden_buffer_.get(n * k * width);
  float* out = out_buffer_.get(n * k * hidden);
  context.pool.parallel_for(n, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * k; i < end * k; ++i)
      std::copy_n(x + i / k * hidden, hidden, sorted_ + places_[static_cast<size_t>(i)] * hidden);
  });
  Input input, hidden_input;
  input.set(context, sorted_, hidden, n * k, hidden);
  std::vector<kernels::Matmul> products;
  run_experts(context, products, [&](FeedForward& expert, int64_t first, int64_t count) {
    products.push_back(expert.gate.forward(input, first, count, gate_ + first * width));
    products.push_back(expert.up.forward(input, first, count, up_ + first * width));
  });
  context.pool.parallel_for(n * k, 16, [&](int64_t begin, int64_t end, int) {
    context.kernels.silu_mul(gate_ + begin * width, up_ + begin * width, (end - begin) * width,
                             hidden_ + begin * width);
  });
  hidden_input.set(context, hidden_, width, n * k, width);
  run_experts(context, products, [&](FeedForward& expert, int64_t first, int64_t count) {
    products.push_back(expert.down.forward(hidden_input, first, count, out + first * hidden));
  });
  context.pool.parallel_for(n, 16, [&](int64_t begin, int64_t end, int) {
    std::fill(y + begin * hidden, y + end * hidden, 0.0f);
    for (int64_t i = begin * k; i < end * k; ++i)
      context.kernels.add_scaled(weights_[static_cast<size_t>(i)],
                                 out + places_[static_cast<size_t>(i)] * hidden, hidden,
                                 y + i / k * hidden);
  });
  if (!shared_) return;
  float* shared = shared_out_buffer_.get(n * hidden);
  shared_.forward(context, x, n, shared);
  by_rows(context, n, hidden, shared, 1.0f, y);
}

// An expert's output is w_e out_e: its weight's derivative is dy . out_e = (W_down^T dy) . h, so
// the outputs need not be kept.
void MoeLayer::backward_experts(const Context& context, int64_t n, const float* dy) {
  const int64_t k = c_.experts_per_token, hidden = c_.hidden_size;
  const int64_t width = c_.moe_intermediate_size;
  d_sorted_ = d_sorted_buffer_.get(n * k * hidden);
  float* dh = d_hidden_buffer_.get(n * k * width);
  float* dg = d_gate_buffer_.get(n * k * width);
  float* du = d_up_buffer_.get(n * k * width);
  float* d_out = out_buffer_.get(n * k * hidden);
  d_weights_.resize(weights_.size());
  context.pool.parallel_for(n, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * k; i < end * k; ++i)
      std::copy_n(dy + i / k * hidden, hidden, d_out + places_[static_cast<size_t>(i)] * hidden);
  });
  Input d_out_input, d_gate, d_up;
  d_out_input.set(context, d_out, hidden, n * k, hidden);
  std::vector<kernels::Matmul> products;
  run_experts(context, products, [&](FeedForward& expert, int64_t first, int64_t count) {
    products.push_back(expert.down.backward(d_out_input, first, count, dh + first * width));
  });
  context.pool.parallel_for(n, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * k; i < end * k; ++i) {
      const int64_t at = places_[static_cast<size_t>(i)] * width;
      const float weight = weights_[static_cast<size_t>(i)];
      float dot = 0.0f;
      for (int64_t c = 0; c < width; ++c) {
        dot += dh[at + c] * hidden_[at + c];
        dh[at + c] *= weight;
      }
      d_weights_[static_cast<size_t>(i)] = dot;
      silu_mul_backward(gate_ + at, up_ + at, dh + at, width, dg + at, du + at);
      float* d = d_out + places_[static_cast<size_t>(i)] * hidden;
      for (int64_t c = 0; c < hidden; ++c) d[c] *= weight;
    }
  });
  d_gate.set(context, dg, width, n * k, width);
  d_up.set(context, du, width, n * k, width);
  std::vector<WeightGradient> gradients;
  float* more = shared_out_buffer_.get(n * k * hidden);
  run_experts(context, products, [&](FeedForward& expert, int64_t first, int64_t count) {
    products.push_back(expert.gate.backward(d_gate, first, count, d_sorted_ + first * hidden));
    products.push_back(expert.up.backward(d_up, first, count, more + first * hidden));
    const float* x = sorted_ + first * hidden;
    gradients.push_back({&expert.gate.weight(), x, dg + first * width, count});
    gradients.push_back({&expert.up.weight(), x, du + first * width, count});
    gradients.push_back(
        {&expert.down.weight(), hidden_ + first * width, d_out + first * hidden, count});
  });
  by_rows(context, n * k, hidden, more, 1.0f, d_sorted_);
  accumulate_gradients(context, gradients);
}

// From the weights and the balance loss to the scores, the logits, the router and its input.
void MoeLayer::backward_router(const Context& context, const Batch& batch, float balance_weight,
                               const float* x, float* dx) {
  const Timed timed(Part::router_backward);
  const int64_t n = batch.rows(), k = c_.experts_per_token, experts = c_.experts;
  const auto scale = static_cast<float>(c_.expert_weights_scale);
  float* d = d_scores_buffer_.get(n * experts);
  const size_t sequences = batch.sequences.size() - 1;
  for (size_t s = 0; s < sequences; ++s) {
    const float* frequency = frequencies_.data() + s * static_cast<size_t>(experts);
    const int64_t begin = batch.sequences[s], end = batch.sequences[s + 1];
    const float g =
        balance_weight / static_cast<float>(end - begin) / static_cast<float>(sequences);
    context.pool.parallel_for(end - begin, 64, [&](int64_t from, int64_t to, int) {
      for (int64_t r = begin + from; r < begin + to; ++r) {
        const float* score = scores_ + r * experts;
        float* dr = d + r * experts;
        float sum = 0.0f, mean = 0.0f;
        for (int64_t e = 0; e < experts; ++e) {
          sum += score[e];
          mean += score[e] * frequency[e];
        }
        mean /= sum;
        for (int64_t e = 0; e < experts; ++e) dr[e] = g * (frequency[e] - mean) / sum;
        const int32_t* chosen = chosen_.data() + r * k;
        const float* dw = d_weights_.data() + r * k;
        float chosen_sum = 0.0f, dot = 0.0f;
        for (int64_t i = 0; i < k; ++i) {
          chosen_sum += score[chosen[i]];
          dot += dw[i] * score[chosen[i]];
        }
        chosen_sum += 1e-20f;
        for (int64_t i = 0; i < k; ++i)
          dr[chosen[i]] += c_.normalize_expert_weights
                               ? scale / chosen_sum * (dw[i] - dot / chosen_sum)
                               : scale * dw[i];
        float weighted = 0.0f;  // of softmax: its derivative is s (ds - sum s ds)
        for (int64_t e = 0; e < experts; ++e) weighted += score[e] * dr[e];
        for (int64_t e = 0; e < experts; ++e)
          dr[e] = c_.scoring == model::Scoring::softmax ? score[e] * (dr[e] - weighted)
                                                        : dr[e] * score[e] * (1.0f - score[e]);
      }
    });
  }
  router_.backward(exact(context), x, d, n, dx);
}

void MoeLayer::backward(const Context& context, const Batch& batch, float balance_weight,
                        const float* x, const float* dy, float* dx) {
  const Timed timed(Part::experts_backward);
  const int64_t n = batch.rows(), k = c_.experts_per_token, hidden = c_.hidden_size;
  backward_experts(context, n, dy);
  backward_router(context, batch, balance_weight, x, dx);
  context.pool.parallel_for(n, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * k; i < end * k; ++i)
      context.kernels.add_scaled(1.0f, d_sorted_ + places_[static_cast<size_t>(i)] * hidden, hidden,
                                 dx + i / k * hidden);
  });
  if (!shared_) return;
  float* shared = shared_out_buffer_.get(n * hidden);
  shared_.backward(context, x, dy, n, shared);
  by_rows(context, n, hidden, shared, 1.0f, dx);
}

}  // namespace hadal::train
