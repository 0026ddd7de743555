#include "eval/logits.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "base/error.h"
#include "eval/sequence.h"

namespace hadal::eval {
namespace {

template <typename T>
NamedTensor tensor(std::string name, std::string dtype, std::vector<int64_t> shape,
                   const std::vector<T>& values) {
  NamedTensor out{std::move(name), std::move(dtype), std::move(shape), {}};
  out.data.resize(values.size() * sizeof(T));
  if (!values.empty()) std::memcpy(out.data.data(), values.data(), out.data.size());
  return out;
}

void append(std::vector<float>& to, std::span<const float> from) {
  to.insert(to.end(), from.begin(), from.end());
}

struct RouterRows {
  std::vector<int64_t> indices;
  std::vector<float> weights;
};

// Everything collected over the rows of the batch.
struct Collected {
  std::vector<float> logits, final_hidden, mtp_logits;
  std::vector<std::vector<float>> hidden;  // by layer
  std::map<int64_t, RouterRows> routers;   // by layer, MTP layers behind the others
  std::vector<int64_t> greedy_ids;
  std::vector<float> greedy_margin;

  void add_router(int64_t layer, const model::Trace::Router& router) {
    if (router.experts.empty()) return;
    RouterRows& rows = routers[layer];
    rows.indices.insert(rows.indices.end(), router.experts.begin(), router.experts.end());
    append(rows.weights, router.weights);
  }
};

struct Best {
  int32_t id = 0;
  float margin = 0.0f;  // to the second best
};

Best best_of(std::span<const float> logits) {
  size_t best = 0;
  for (size_t i = 1; i < logits.size(); ++i)
    if (logits[i] > logits[best]) best = i;
  float second = -INFINITY;
  for (size_t i = 0; i < logits.size(); ++i)
    if (i != best) second = std::max(second, logits[i]);
  return {static_cast<int32_t>(best), logits[best] - second};
}

void check(const model::Model& model, std::span<const int64_t> ids, int64_t length,
           const LogitsOptions& options) {
  const model::ModelConfig& config = model.config;
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] < 0 || ids[i] >= config.vocab_size)
      fail(ErrorKind::usage, "input_ids: id {} at index {} is outside of the vocabulary of {}",
           ids[i], i, config.vocab_size);
  const int64_t longest = std::max(length, options.greedy_prompt + options.greedy);
  if (longest > config.context_length)
    fail(ErrorKind::limit, "input_ids: rows of {} tokens do not fit the model's context of {}",
         longest, config.context_length);
  if (options.mtp && model.mtp.empty())
    fail(ErrorKind::usage, "the model has no multi-token prediction layer");
  if (options.mtp && length < 2)
    fail(ErrorKind::usage, "multi-token prediction needs rows of two tokens or more");
  if (options.greedy > 0 && (options.greedy_prompt < 1 || options.greedy_prompt > length))
    fail(ErrorKind::usage, "a greedy continuation needs a prompt of 1 to {} tokens, not {}", length,
         options.greedy_prompt);
}

void add_row(Sequence& sequence, std::span<const int32_t> tokens, const LogitsOptions& options,
             Collected& out) {
  const auto length = static_cast<int64_t>(tokens.size());
  model::Trace trace;
  sequence.reset();
  sequence.append(
      tokens, [&](int64_t, int64_t, std::span<const float> rows) { append(out.logits, rows); },
      options.hidden || options.router || options.mtp ? &trace : nullptr);
  out.hidden.resize(trace.hidden.size());
  for (size_t layer = 0; layer < trace.hidden.size(); ++layer)
    append(out.hidden[layer], trace.hidden[layer]);
  append(out.final_hidden, trace.final_hidden);
  for (size_t layer = 0; layer < trace.routers.size(); ++layer)
    out.add_router(static_cast<int64_t>(layer), trace.routers[layer]);
  if (options.mtp) {
    model::Trace mtp_trace;
    const model::Segment following{.tokens = tokens.subspan(1), .pages = sequence.pages()};
    append(out.mtp_logits,
           sequence.runner()
               .forward_mtp(sequence.cache(), {&following, 1}, trace.final_hidden, &mtp_trace)
               .logits);
    const auto layers = static_cast<int64_t>(sequence.runner().model().layers.size());
    if (!mtp_trace.routers.empty()) out.add_router(layers, mtp_trace.routers.back());
  }
  if (options.greedy == 0) return;
  sequence.reset();
  const std::span<const int32_t> prompt =
      tokens.first(static_cast<size_t>(std::min(length, options.greedy_prompt)));
  Best best;
  const auto vocab = static_cast<size_t>(sequence.runner().model().config.vocab_size);
  sequence.append(prompt, [&](int64_t, int64_t count, std::span<const float> rows) {
    best = best_of(rows.subspan(static_cast<size_t>(count - 1) * vocab));
  });
  for (int64_t i = 0; i < options.greedy; ++i) {
    out.greedy_ids.push_back(best.id);
    out.greedy_margin.push_back(best.margin);
    if (i + 1 < options.greedy) best = best_of(sequence.step(best.id));
  }
}

std::vector<NamedTensor> named(const model::Model& model, const LogitsOptions& options,
                               int64_t batch, int64_t length, const Collected& all) {
  const model::ModelConfig& config = model.config;
  std::vector<NamedTensor> out;
  out.push_back(tensor("logits", "F32", {batch, length, config.vocab_size}, all.logits));
  if (options.hidden) {
    std::vector<float> hidden;
    for (const auto& layer : all.hidden) append(hidden, layer);
    const auto layers = static_cast<int64_t>(all.hidden.size());
    out.push_back(tensor("hidden", "F32", {layers, batch, length, config.hidden_size}, hidden));
    out.push_back(
        tensor("final_hidden", "F32", {batch, length, config.hidden_size}, all.final_hidden));
  }
  if (options.mtp)
    out.push_back(
        tensor("mtp_logits", "F32", {batch, length - 1, config.vocab_size}, all.mtp_logits));
  if (options.router) {
    for (const auto& [layer, rows] : all.routers) {
      const int64_t k = config.experts_per_token;
      const auto count = static_cast<int64_t>(rows.indices.size()) / k;
      out.push_back(
          tensor(fmt::format("router.{}.indices", layer), "I64", {count, k}, rows.indices));
      out.push_back(
          tensor(fmt::format("router.{}.weights", layer), "F32", {count, k}, rows.weights));
    }
  }
  if (options.greedy > 0) {
    out.push_back(tensor("greedy_ids", "I64", {batch, options.greedy}, all.greedy_ids));
    out.push_back(tensor("greedy_margin", "F32", {batch, options.greedy}, all.greedy_margin));
  }
  return out;
}

}  // namespace

std::span<const float> NamedTensor::floats() const {
  HADAL_CHECK(dtype == "F32", "{} is {}", name, dtype);
  return {reinterpret_cast<const float*>(data.data()), data.size() / sizeof(float)};
}

std::span<const int64_t> NamedTensor::integers() const {
  HADAL_CHECK(dtype == "I64", "{} is {}", name, dtype);
  return {reinterpret_cast<const int64_t*>(data.data()), data.size() / sizeof(int64_t)};
}

std::vector<NamedTensor> compute_logits(const model::Model& model, std::span<const int64_t> ids,
                                        int64_t batch, const LogitsOptions& wanted,
                                        ThreadPool& pool, const Progress& progress) {
  const auto total = static_cast<int64_t>(ids.size());
  HADAL_CHECK(batch >= 1 && total > 0 && total % batch == 0, "{} ids in {} rows", total, batch);
  const int64_t length = total / batch;
  LogitsOptions options = wanted;
  if (options.greedy_prompt == 0) options.greedy_prompt = length;
  check(model, ids, length, options);
  Sequence sequence(model, options.precision, pool,
                    std::max(length, options.greedy_prompt + options.greedy), length);
  Collected all;
  for (int64_t row = 0; row < batch; ++row) {
    const auto begin = ids.begin() + row * length;
    const std::vector<int32_t> tokens(begin, begin + length);
    add_row(sequence, tokens, options, all);
    if (progress) progress((row + 1) * length, total);
  }
  std::vector<NamedTensor> out = named(model, options, batch, length, all);
  out.insert(out.begin(), tensor("input_ids", "I64", {batch, length},
                                 std::vector<int64_t>(ids.begin(), ids.end())));
  return out;
}

}  // namespace hadal::eval
