#include <algorithm>
#include <cmath>
#include <cstring>

#include "train/feed_forward.h"
#include "train/profile.h"

namespace hadal::train {
namespace {

// The router's products are never rounded: near ties decide which experts a token sees.
Context exact(Context context) {
  context.precision = model::Precision::f32;
  return context;
}

// Rows of all experts' outputs, or of the derivatives of their inputs: needed for a moment only,
// so all layers share the memory.
Buffer& sorted_floats() {
  static thread_local Buffer buffer;
  return buffer;
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
  const int64_t experts = c_.experts, k = c_.experts_per_token, hidden = c_.hidden_size;
  scores_ = scores_buffer_.get(n * experts);
  chosen_.resize(static_cast<size_t>(n * k));
  weights_.resize(chosen_.size());
  const std::span<const float> bias =
      bias_ != nullptr ? std::span<const float>(bias_->value, static_cast<size_t>(experts))
                       : std::span<const float>{};
  while (static_cast<int>(routers_.size()) < context.pool.threads()) routers_.emplace_back(c_);
  context.pool.parallel_for(chunks_of(n), 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t first = chunk * chunk_rows, last = std::min(n, first + chunk_rows);
      router_.forward(exact(context),
                      {quant::Type::F32, x + first * hidden, hidden, last - first, hidden},
                      scores_ + first * experts, experts);
      for (int64_t r = first; r < last; ++r)  // leaves the scores in the place of the logits
        routers_[static_cast<size_t>(thread)].choose(context.kernels, scores_ + r * experts, bias,
                                                     chosen_.data() + r * k,
                                                     weights_.data() + r * k);
    }
  });
  sort(n);
}

// Rows by the experts that they chose, and the pieces of work that this makes.
void MoeLayer::sort(int64_t n) {
  const int64_t k = c_.experts_per_token;
  places_.resize(chosen_.size());
  row_of_.resize(chosen_.size());
  sorted_weights_.resize(chosen_.size());
  sorted_d_weights_.resize(chosen_.size());
  offsets_.assign(static_cast<size_t>(c_.experts) + 1, 0);
  for (const int32_t e : chosen_) ++offsets_[static_cast<size_t>(e) + 1];
  stats_.load.assign(offsets_.begin() + 1, offsets_.end());
  for (size_t e = 1; e < offsets_.size(); ++e) offsets_[e] += offsets_[e - 1];
  std::vector<int64_t> cursor(offsets_.begin(), offsets_.end() - 1);
  for (size_t i = 0; i < chosen_.size(); ++i) {
    const int64_t place = cursor[static_cast<size_t>(chosen_[i])]++;
    places_[i] = place;
    row_of_[static_cast<size_t>(place)] = static_cast<int32_t>(static_cast<int64_t>(i) / k);
    sorted_weights_[static_cast<size_t>(place)] = weights_[i];
  }
  tasks_.clear();
  const auto add = [&](int64_t expert, int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += chunk_rows)
      tasks_.push_back({expert, first, std::min(chunk_rows, end - first)});
  };
  for (int64_t e = 0; e < c_.experts; ++e)
    add(e, offsets_[static_cast<size_t>(e)], offsets_[static_cast<size_t>(e) + 1]);
  if (shared_) add(-1, 0, n);
}

// Equations 17 to 20: f_e counts how often e is among the k best plain scores, P_e is the mean of
// its share of the scores; over each sequence.
void MoeLayer::count_balance(const Context& context, const Batch& batch) {
  const Timed timed(Part::router_forward);
  const auto experts = static_cast<size_t>(c_.experts);
  const auto k = static_cast<size_t>(c_.experts_per_token);
  const size_t sequences = batch.sequences.size() - 1;
  frequencies_.assign(sequences * experts, 0.0f);
  shares_.assign(sequences * experts, 0.0);
  context.pool.parallel_for(static_cast<int64_t>(sequences), 1, [&](int64_t from, int64_t to, int) {
    std::vector<size_t> order(experts);
    for (auto s = static_cast<size_t>(from); s < static_cast<size_t>(to); ++s) {
      double* shares = shares_.data() + s * experts;
      float* frequency = frequencies_.data() + s * experts;
      for (int64_t r = batch.sequences[s]; r < batch.sequences[s + 1]; ++r) {
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
    }
  });
  stats_.balance = 0;
  for (size_t s = 0; s < sequences; ++s) {
    const auto rows = static_cast<double>(batch.sequences[s + 1] - batch.sequences[s]);
    if (rows == 0) continue;  // of MTP: documents of one token leave it none
    for (size_t e = 0; e < experts; ++e) {
      float& frequency = frequencies_[s * experts + e];
      frequency *=
          static_cast<float>(static_cast<double>(experts) / (static_cast<double>(k) * rows));
      stats_.balance += static_cast<double>(frequency) * shares_[s * experts + e] / rows /
                        static_cast<double>(sequences);
    }
  }
}

// A task's rows, copied next to each other.
void MoeLayer::gather(const OperandRows& from, const Task& task, const OperandRows& to) const {
  constexpr int64_t ahead = 6;  // rows that are fetched: they lie apart, unforeseen
  const int64_t bytes = from.stride() * operand_bytes(from.type());
  const int64_t end = task.first + task.count;
  for (int64_t place = task.first; place < end; ++place) {
    if (place + ahead < end) {
      const std::byte* later = from.at(row_of_[static_cast<size_t>(place + ahead)]);
      for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(later + i);
    }
    std::memcpy(to.at(place), from.at(row_of_[static_cast<size_t>(place)]),
                static_cast<size_t>(bytes));
  }
}

void MoeLayer::run_tasks(const Context& context,
                         const std::function<void(const Task&)>& body) const {
  context.pool.parallel_for(static_cast<int64_t>(tasks_.size()), 1,
                            [&](int64_t begin, int64_t end, int) {
                              for (int64_t i = begin; i < end; ++i)
                                body(tasks_[static_cast<size_t>(i)]);
                            });
}

void MoeLayer::forward(const Context& context, const Batch& batch, const float* x,
                       const OperandRows& rows, const float* residual, float* y) {
  const Timed timed(Part::experts_forward);
  const int64_t n = batch.rows(), k = c_.experts_per_token, hidden = c_.hidden_size;
  route(context, x, n);
  count_balance(context, batch);
  sorted_.resize(rows.type(), n * k, hidden);
  routed_rows_.start(context, n * k, c_.moe_intermediate_size);
  if (shared_) shared_rows_.start(context, n, shared_.gate.rows());
  float* out = sorted_floats().get(n * k * hidden);
  run_tasks(context, [&](const Task& t) {
    if (t.expert < 0) {
      std::copy_n(residual + t.first * hidden, t.count * hidden, y + t.first * hidden);
      shared_.forward(context, rows.rows(t.first, t.count), shared_rows_, t.first,
                      y + t.first * hidden, true);
      return;
    }
    gather(rows, t, sorted_);
    experts_[static_cast<size_t>(t.expert)].forward(context, sorted_.rows(t.first, t.count),
                                                    routed_rows_, t.first, out + t.first * hidden,
                                                    false);
  });
  each_chunk(context, n, [&](int64_t first, int64_t count, int64_t) {
    if (!shared_) std::copy_n(residual + first * hidden, count * hidden, y + first * hidden);
    for (int64_t i = first * k; i < (first + count) * k; ++i)
      context.kernels.add_scaled(weights_[static_cast<size_t>(i)],
                                 out + places_[static_cast<size_t>(i)] * hidden, hidden,
                                 y + i / k * hidden);
  });
}

// From the weights' derivatives and the balance loss to those of the scores and the logits.
void MoeLayer::score_derivatives(const float* frequency, float balance, int64_t row,
                                 float* out) const {
  const int64_t k = c_.experts_per_token, experts = c_.experts;
  const auto scale = static_cast<float>(c_.expert_weights_scale);
  const float* score = scores_ + row * experts;
  float sum = 0.0f, mean = 0.0f;
  for (int64_t e = 0; e < experts; ++e) {
    sum += score[e];
    mean += score[e] * frequency[e];
  }
  mean /= sum;
  for (int64_t e = 0; e < experts; ++e) out[e] = balance * (frequency[e] - mean) / sum;
  const int32_t* chosen = chosen_.data() + row * k;
  const auto dw = [&](int64_t i) {
    return sorted_d_weights_[static_cast<size_t>(places_[static_cast<size_t>(row * k + i)])];
  };
  float chosen_sum = 1e-20f, dot = 0.0f;
  for (int64_t i = 0; i < k; ++i) {
    chosen_sum += score[chosen[i]];
    dot += dw(i) * score[chosen[i]];
  }
  for (int64_t i = 0; i < k; ++i)
    out[chosen[i]] += c_.normalize_expert_weights ? scale / chosen_sum * (dw(i) - dot / chosen_sum)
                                                  : scale * dw(i);
  float weighted = 0.0f;  // of softmax: its derivative is s (ds - sum s ds)
  for (int64_t e = 0; e < experts; ++e) weighted += score[e] * out[e];
  for (int64_t e = 0; e < experts; ++e)
    out[e] = c_.scoring == model::Scoring::softmax ? score[e] * (out[e] - weighted)
                                                   : out[e] * score[e] * (1.0f - score[e]);
}

void MoeLayer::backward_scores(const Context& context, const Batch& batch, float balance_weight) {
  const Timed timed(Part::router_backward);
  d_scores_ = d_scores_buffer_.get(batch.rows() * c_.experts);
  const size_t sequences = batch.sequences.size() - 1;
  for (size_t s = 0; s < sequences; ++s) {
    const float* frequency = frequencies_.data() + s * static_cast<size_t>(c_.experts);
    const int64_t begin = batch.sequences[s], end = batch.sequences[s + 1];
    const float balance =
        balance_weight / static_cast<float>(end - begin) / static_cast<float>(sequences);
    context.pool.parallel_for(end - begin, 64, [&](int64_t from, int64_t to, int) {
      for (int64_t r = begin + from; r < begin + to; ++r)
        score_derivatives(frequency, balance, r, d_scores_ + r * c_.experts);
    });
  }
}

void MoeLayer::accumulate(const Context& context, const float* x, const OperandRows& rows,
                          const OperandRows& dy) const {
  const int64_t n = rows.rows(), hidden = c_.hidden_size, experts = c_.experts;
  std::vector<WeightGradient> gradients;
  gradients.push_back({&router_.weight(),
                       {quant::Type::F32, x, hidden, n, hidden},
                       {quant::Type::F32, d_scores_, experts, n, experts}});
  if (shared_) shared_.name_gradients(rows.rows(0, n), dy.rows(0, n), shared_rows_, 0, gradients);
  for (size_t e = 0; e < experts_.size(); ++e) {
    const int64_t first = offsets_[e], count = offsets_[e + 1] - first;
    experts_[e].name_gradients(sorted_.rows(first, count), d_sorted_.rows(first, count),
                               routed_rows_, first, gradients);
  }
  accumulate_gradients(context, gradients);
}

void MoeLayer::backward(const Context& context, const Batch& batch, float balance_weight,
                        const float* x, const OperandRows& rows, const OperandRows& dy, float* dx) {
  const Timed timed(Part::experts_backward);
  const int64_t n = batch.rows(), k = c_.experts_per_token, hidden = c_.hidden_size;
  d_sorted_.resize(dy.type(), n * k, hidden);
  routed_rows_.start_backward(context);
  if (shared_) shared_rows_.start_backward(context);
  float* out = sorted_floats().get(n * k * hidden);
  run_tasks(context, [&](const Task& t) {
    if (t.expert < 0) {
      shared_.backward(context, dy.rows(t.first, t.count), shared_rows_, t.first,
                       dx + t.first * hidden, nullptr, nullptr);
      return;
    }
    gather(dy, t, d_sorted_);
    experts_[static_cast<size_t>(t.expert)].backward(
        context, d_sorted_.rows(t.first, t.count), routed_rows_, t.first, out + t.first * hidden,
        sorted_weights_.data() + t.first, sorted_d_weights_.data() + t.first);
  });
  backward_scores(context, batch, balance_weight);
  each_chunk(context, n, [&](int64_t first, int64_t count, int64_t) {
    router_.backward(
        exact(context),
        {quant::Type::F32, d_scores_ + first * c_.experts, c_.experts, count, c_.experts},
        dx + first * hidden, hidden, static_cast<bool>(shared_));
    for (int64_t i = first * k; i < (first + count) * k; ++i)
      context.kernels.add_scaled(1.0f, out + places_[static_cast<size_t>(i)] * hidden, hidden,
                                 dx + i / k * hidden);
  });
  accumulate(context, x, rows, dy);
}

}  // namespace hadal::train
