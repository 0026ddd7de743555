#include "server/embedding.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hadal::server {
namespace {

constexpr int64_t piece_tokens = 256;

int64_t longest(const std::vector<std::vector<int32_t>>& texts) {
  size_t most = 1;
  for (const auto& text : texts) most = std::max(most, text.size());
  return static_cast<int64_t>(most);
}

int64_t pages_for(int64_t tokens) {
  return (tokens + model::KvCache::page_tokens - 1) / model::KvCache::page_tokens;
}

}  // namespace

Embedder::Embedder(const ServedModel& model, std::vector<std::vector<int32_t>> texts)
    : texts_(std::move(texts)),
      runner_(*model.loaded.model, model::Precision::f32, *model.pool,
              std::min(piece_tokens, longest(texts_))),
      cache_(model.loaded.model->config, quant::Type::BF16, pages_for(longest(texts_))),
      pages_(static_cast<size_t>(pages_for(longest(texts_)))),
      sum_(static_cast<size_t>(model.loaded.model->config.hidden_size)) {
  std::iota(pages_.begin(), pages_.end(), 0);
}

bool Embedder::step() {
  if (text_ == texts_.size()) return true;
  const std::vector<int32_t>& text = texts_[text_];
  const auto size = static_cast<int64_t>(text.size());
  const int64_t count = std::min(runner_.tokens_max(), size - done_);
  model::Segment segment;
  segment.tokens = std::span(text).subspan(static_cast<size_t>(done_), static_cast<size_t>(count));
  segment.start = done_;
  segment.pages = pages_;
  segment.logits_from = count;
  model::Trace trace;
  runner_.forward(cache_, {&segment, 1}, &trace);
  for (size_t i = 0; i < trace.final_hidden.size(); ++i)
    sum_[i % sum_.size()] += static_cast<double>(trace.final_hidden[i]);
  done_ += count;
  if (done_ < size) return false;
  double square = 0;
  for (const double x : sum_) square += x * x;
  const double scale = square > 0 ? 1 / std::sqrt(square) : 0;
  std::vector<float>& vector = vectors_.emplace_back();
  for (double& x : sum_) {
    vector.push_back(static_cast<float>(x * scale));
    x = 0;
  }
  done_ = 0;
  return ++text_ == texts_.size();
}

}  // namespace hadal::server
