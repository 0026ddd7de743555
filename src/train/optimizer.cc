#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace hadal::train {
namespace {

constexpr int64_t chunk = 16384;  // elements that a thread takes at a time

int64_t padded(int64_t size) {
  return (size + 15) / 16 * 16;
}

// body(begin, end) over all elements.
template <class Body>
void by_chunks(const Context& context, int64_t size, const Body& body) {
  context.pool.parallel_for(size, chunk,
                            [&](int64_t begin, int64_t end, int) { body(begin, end); });
}

}  // namespace

Kind kind_of(const Parameter& parameter) {
  if (parameter.shape.size() < 2) return Kind::vector;
  const std::string& name = parameter.name;
  if (name.ends_with("embed_tokens.weight") || name.ends_with("lm_head.weight"))
    return Kind::embedding;
  return name.ends_with("mlp.gate.weight") ? Kind::router : Kind::matrix;
}

const OptimizerOptions::Group& OptimizerOptions::group(Kind kind) const {
  switch (kind) {
    case Kind::matrix:
      return matrix;
    case Kind::embedding:
      return embedding;
    case Kind::router:
      return router;
    case Kind::vector:
      break;
  }
  return vector;
}

int64_t muon_block_rows(const model::ModelConfig& config, const Parameter& parameter) {
  if (!config.is_mla()) return 0;
  const std::string& name = parameter.name;
  if (name.ends_with("kv_b_proj.weight")) return config.qk_nope_dim + config.v_dim;
  if (name.ends_with("q_b_proj.weight") || name.ends_with("q_proj.weight"))
    return config.qk_nope_dim + config.qk_rope_dim;
  return 0;
}

Optimizer::Optimizer(Parameters& parameters, const model::ModelConfig& config,
                     const OptimizerOptions& options, Ranks& ranks)
    : options_(options), ranks_(ranks) {
  for (Parameter& p : parameters.list()) {
    if (!p.has_gradient) continue;
    const Kind kind = kind_of(p);
    items_.push_back({&p, kind, options.muon && kind == Kind::matrix});
  }
  choose_owners();
  int64_t size = 0;
  for (const Item& item : items_)
    if (is_mine(item))
      size += padded(item.parameter->size()) * ((item.muon ? 1 : 2) + (averages() ? 1 : 0));
  float* at = state_.get(size);
  std::fill_n(at, size, 0.0f);
  const auto take = [&](int64_t count) {
    float* out = at;
    at += padded(count);
    return out;
  };
  for (Item& item : items_) {
    if (!is_mine(item)) continue;
    const Parameter& p = *item.parameter;
    item.first = take(p.size());
    if (!item.muon) item.second = take(p.size());
    if (averages()) {
      item.average = take(p.size());
      std::copy_n(p.value, p.size(), item.average);
    }
    if (!item.muon) continue;
    const int64_t rows = muon_block_rows(config, p);
    const int64_t step = rows > 0 ? rows : p.shape[0];
    for (int64_t r = 0; r < p.shape[0]; r += step)
      blocks_.push_back({&item, r, std::min(step, p.shape[0] - r)});
  }
  // The last ones to be dealt out should be short.
  std::stable_sort(blocks_.begin(), blocks_.end(), [](const Block& a, const Block& b) {
    return a.rows * a.item->parameter->shape[1] > b.rows * b.item->parameter->shape[1];
  });
}

// Whole parameters, since Muon needs matrices whole: the largest first, to whoever has the least.
void Optimizer::choose_owners() {
  std::vector<Item*> order;
  for (Item& item : items_) order.push_back(&item);
  std::stable_sort(order.begin(), order.end(), [](const Item* a, const Item* b) {
    return a->parameter->size() > b->parameter->size();
  });
  std::vector<int64_t> sizes(static_cast<size_t>(ranks_.size()));
  for (Item* item : order) {
    const auto least = std::min_element(sizes.begin(), sizes.end());
    item->owner = static_cast<int>(least - sizes.begin());
    *least += item->parameter->size();
  }
}

void Optimizer::gather_gradients(const Context& context) {
  const auto count = static_cast<size_t>(ranks_.size());
  if (count == 1) return;
  std::vector<Ranks::Message> sent, received;
  int64_t mine = 0;
  for (const Item& item : items_)
    if (is_mine(item)) mine += padded(item.parameter->size());
  float* at = received_.get(mine * static_cast<int64_t>(count - 1));
  std::vector<std::pair<const Item*, std::vector<float*>>> sums;  // by rank
  for (const Item& item : items_) {
    const int64_t size = item.parameter->size();
    const auto length = static_cast<size_t>(size);
    if (!is_mine(item)) {
      sent.push_back({item.owner, {item.parameter->gradient, length}});
      continue;
    }
    std::vector<float*> parts(count, item.parameter->gradient);
    for (size_t rank = 0; rank < count; ++rank) {
      if (static_cast<int>(rank) == ranks_.rank()) continue;
      parts[rank] = at;
      at += padded(size);
      received.push_back({static_cast<int>(rank), {parts[rank], length}});
    }
    sums.emplace_back(&item, std::move(parts));
  }
  ranks_.exchange(sent, received);
  for (const auto& [item, parts] : sums) {
    float* out = item->parameter->gradient;
    by_chunks(context, item->parameter->size(), [&, &of_ranks = parts](int64_t begin, int64_t end) {
      for (size_t step = 1; step < count; step *= 2)
        for (size_t rank = 0; rank < count; rank += 2 * step)
          for (int64_t i = begin; i < end; ++i) of_ranks[rank][i] += of_ranks[rank + step][i];
      if (of_ranks[0] != out) std::copy(of_ranks[0] + begin, of_ranks[0] + end, out + begin);
    });
  }
}

double Optimizer::gradient_norm(const Context& context) {
  std::vector<double> sums(items_.size()), parts;
  for (size_t k = 0; k < items_.size(); ++k) {
    if (!is_mine(items_[k])) continue;
    const int64_t size = items_[k].parameter->size();
    const float* g = items_[k].parameter->gradient;
    parts.assign(static_cast<size_t>((size + chunk - 1) / chunk), 0.0);
    context.pool.parallel_for(
        static_cast<int64_t>(parts.size()), 1, [&](int64_t begin, int64_t end, int) {
          for (int64_t i = begin; i < end; ++i) {
            double part = 0;
            for (int64_t j = i * chunk; j < std::min(size, (i + 1) * chunk); ++j)
              part += static_cast<double>(g[j]) * static_cast<double>(g[j]);
            parts[static_cast<size_t>(i)] = part;
          }
        });
    for (const double part : parts) sums[k] += part;
  }
  ranks_.sum(sums);
  double sum = 0;
  for (const double part : sums) sum += part;
  return std::sqrt(sum);
}

void Optimizer::step(const Context& context, double norm, double factor) {
  ++steps_;
  float gradient_scale = 1.0f;
  if (options_.clip > 0)
    gradient_scale = static_cast<float>(std::min(1.0, options_.clip / (norm + 1e-6)));
  for (const Item& item : items_)
    if (!item.muon && is_mine(item)) adamw(context, item, gradient_scale, factor);
  if (!blocks_.empty()) muon(context, gradient_scale, factor);
  if (averages()) update_averages(context);
  share_values();
}

void Optimizer::share_values() {
  for (const Item& item : items_)
    ranks_.broadcast(item.owner,
                     {item.parameter->value, static_cast<size_t>(item.parameter->size())});
}

void Optimizer::adamw(const Context& context, const Item& item, float gradient_scale,
                      double factor) {
  const OptimizerOptions::Group& group = options_.group(item.kind);
  const auto t = static_cast<double>(steps_);
  const double rate = group.rate * factor;
  const auto keep = static_cast<float>(1.0 - rate * group.decay);
  const auto beta1 = static_cast<float>(options_.beta1), beta2 = static_cast<float>(options_.beta2);
  const auto step_size = static_cast<float>(rate / (1.0 - std::pow(options_.beta1, t)));
  const auto root = static_cast<float>(std::sqrt(1.0 - std::pow(options_.beta2, t)));
  const auto eps = static_cast<float>(options_.eps);
  float* value = item.parameter->value;
  const float* gradient = item.parameter->gradient;
  by_chunks(context, item.parameter->size(), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float g = gradient[i] * gradient_scale;
      const float m = item.first[i] + (1.0f - beta1) * (g - item.first[i]);
      const float v = beta2 * item.second[i] + (1.0f - beta2) * g * g;
      item.first[i] = m;
      item.second[i] = v;
      value[i] = value[i] * keep - step_size * m / (std::sqrt(v) / root + eps);
    }
  });
}

void Optimizer::muon(const Context& context, float gradient_scale, double factor) {
  const auto threads = static_cast<size_t>(context.pool.threads());
  if (workspaces_.size() < threads) {
    workspaces_ = std::vector<NewtonSchulz>(threads);
    updates_ = std::vector<Buffer>(threads);
  }
  context.pool.parallel_for(
      static_cast<int64_t>(blocks_.size()), 1, [&](int64_t begin, int64_t end, int thread) {
        for (int64_t i = begin; i < end; ++i)
          muon_block(context, blocks_[static_cast<size_t>(i)], gradient_scale, factor, thread);
      });
}

void Optimizer::muon_block(const Context& context, const Block& block, float gradient_scale,
                           double factor, int thread) {
  const OptimizerOptions::Group& group = options_.group(Kind::matrix);
  const Parameter& p = *block.item->parameter;
  const int64_t cols = p.shape[1], first = block.row * cols, count = block.rows * cols;
  const auto momentum = static_cast<float>(options_.momentum);
  float* update = updates_[static_cast<size_t>(thread)].get(count);
  float* mean = block.item->first + first;
  const float* gradient = p.gradient + first;
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * gradient_scale;
    mean[i] += (1.0f - momentum) * (g - mean[i]);
    update[i] = g + momentum * (mean[i] - g);
  }
  workspaces_[static_cast<size_t>(thread)].run(context, block.rows, cols, update);
  const auto rows = static_cast<double>(block.rows), width = static_cast<double>(cols);
  const double shape = options_.scale == MuonScale::original
                           ? std::sqrt(std::max(1.0, rows / width))
                           : 0.2 * std::sqrt(std::max(rows, width));
  const double rate = group.rate * factor;
  const auto keep = static_cast<float>(1.0 - rate * group.decay);
  const auto step_size = static_cast<float>(rate * shape);
  float* value = p.value + first;
  for (int64_t i = 0; i < count; ++i) value[i] = value[i] * keep - step_size * update[i];
}

// Young averages follow quickly: with t steps done the decay is at most t / (t + 10).
void Optimizer::update_averages(const Context& context) {
  const auto t = static_cast<double>(steps_);
  const auto take = static_cast<float>(1.0 - std::min(options_.average, t / (t + 10.0)));
  for (const Item& item : items_) {
    if (!is_mine(item)) continue;
    const float* value = item.parameter->value;
    by_chunks(context, item.parameter->size(), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) item.average[i] += take * (value[i] - item.average[i]);
    });
  }
}

std::vector<Optimizer::State> Optimizer::state() {
  std::vector<State> out;
  for (const Item& item : items_) {
    const Parameter& p = *item.parameter;
    const auto add = [&](const char* what, float* data) {
      State state{p.name + what, p.shape, nullptr, p.size(), item.owner};
      state.data = data;
      out.push_back(std::move(state));
    };
    add(item.muon ? ".momentum" : ".mean", item.first);
    if (!item.muon) add(".square", item.second);
    if (averages()) add(".average", item.average);
  }
  return out;
}

std::vector<Optimizer::State> Optimizer::gather_state(Buffer& copies) {
  std::vector<State> out = state();
  int64_t size = 0;
  for (const State& s : out)
    if (s.owner != 0) size += padded(s.size);
  float* at = ranks_.is_first() ? copies.get(size) : nullptr;
  std::vector<Ranks::Message> sent, received;
  for (State& s : out) {
    if (s.owner == 0) continue;
    if (ranks_.is_first()) {
      s.data = at;
      at += padded(s.size);
      received.push_back({s.owner, {s.data, static_cast<size_t>(s.size)}});
    } else if (s.owner == ranks_.rank()) {
      sent.push_back({0, {s.data, static_cast<size_t>(s.size)}});
    }
  }
  ranks_.exchange(sent, received);
  return out;
}

void Optimizer::swap_averages() {
  if (!averages()) return;
  for (const Item& item : items_)
    if (is_mine(item))
      std::swap_ranges(item.average, item.average + item.parameter->size(), item.parameter->value);
  share_values();
}

void balance_experts(const std::vector<MoeLayer*>& layers,
                     std::span<const std::vector<int64_t>> loads, double speed) {
  HADAL_CHECK(loads.size() == layers.size(), "loads of {} layers, not {}", loads.size(),
              layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    Parameter* bias = layers[i]->correction_bias();
    if (bias == nullptr) continue;
    int64_t sum = 0;
    for (const int64_t load : loads[i]) sum += load;
    const auto experts = static_cast<int64_t>(loads[i].size());
    for (size_t e = 0; e < loads[i].size(); ++e) {
      const int64_t lack = sum - loads[i][e] * experts;  // its sign: mean load - load
      if (lack != 0) bias->value[e] += static_cast<float>(lack > 0 ? speed : -speed);
    }
  }
}

}  // namespace hadal::train
