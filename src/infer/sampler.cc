#include "infer/sampler.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "base/scalar.h"

namespace hadal::infer {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
// Below this, dividing by the temperature would leave the range of float: it counts as 0.
constexpr double temperature_min = 1e-6;
// Weights are summed in blocks, so that a draw walks blocks first.
constexpr size_t block = 256;
// Lanes of the loops over the vocabulary: enough for two vectors of AVX2, and a fixed order of
// summation on every machine.
constexpr size_t lanes = 16;
// Up to here a heap beats partitioning the whole vocabulary.
constexpr size_t heap_max = 1024;

// exp(x) for x <= 0 within 2 ulp (Cephes' polynomial), 0 below -87: without branches, so that
// compilers vectorise it, and the same on every machine, which the C library's is not.
inline float exp_nonpositive(float x) {
  constexpr float rounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const uint32_t in_range = 0u - static_cast<uint32_t>(x > -87.0f);
  const float bounded = bits_float(float_bits(x) & in_range);
  const float shifted = bounded * 1.44269504088896341f + rounder;
  const float n = shifted - rounder;
  const float r = (bounded - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  // The low bits of `shifted` are n: moved into the exponent they multiply p by 2^n.
  return bits_float((float_bits(p) + (float_bits(shifted) << 23)) & in_range);
}

struct Extreme {
  float largest;
  bool finite;  // no NaN, no +infinity
};

// Four numbers in a register, since compilers see no vectors in these comparisons.
using Four = float __attribute__((vector_size(16)));
using FourMasks = int32_t __attribute__((vector_size(16)));

Extreme find_largest(std::span<const float> x) {
  constexpr size_t vectors = lanes / 4;
  const Four high = {infinity, infinity, infinity, infinity};
  Four most[vectors];
  FourMasks good[vectors];
  for (size_t v = 0; v < vectors; ++v) {
    most[v] = -high;
    good[v] = -high < high;
  }
  size_t i = 0;
  for (; i + lanes <= x.size(); i += lanes) {
    for (size_t v = 0; v < vectors; ++v) {
      Four next;
      std::memcpy(&next, x.data() + i + 4 * v, sizeof(next));
      most[v] = next > most[v] ? next : most[v];
      good[v] &= next < high;
    }
  }
  Extreme found{-infinity, true};
  for (size_t lane = 0; lane < lanes; ++lane) {
    found.largest = std::max(found.largest, most[lane / 4][lane % 4]);
    found.finite &= good[lane / 4][lane % 4] != 0;
  }
  for (; i < x.size(); ++i) {
    found.largest = x[i] > found.largest ? x[i] : found.largest;
    found.finite &= x[i] < infinity;
  }
  return found;
}

// The logits of what is allowed, -infinity for the rest.
void keep_allowed(std::span<const float> logits, const Allowed& allowed, std::vector<float>& out) {
  out.assign(logits.size(), -infinity);
  for (size_t word = 0; word < allowed.mask->size(); ++word) {
    const uint64_t bits = (*allowed.mask)[word];
    if (bits == 0) continue;
    const size_t end = std::min(word * 64 + 64, logits.size());
    for (size_t i = word * 64; i < end; ++i)
      if ((bits >> (i % 64) & 1) != 0) out[i] = logits[i];
  }
  for (const auto& [id, is_allowed] : allowed.exceptions) {
    const auto i = static_cast<size_t>(id);
    if (i < logits.size()) out[i] = is_allowed ? logits[i] : -infinity;
  }
}

int32_t first_equal(std::span<const float> x, float value) {
  return static_cast<int32_t>(std::find(x.begin(), x.end(), value) - x.begin());
}

// Logit descending, id ascending: a total order, so every cut is unique.
constexpr auto before = [](const auto& a, const auto& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
};

void check_range(std::string_view name, double value, bool good, std::string_view range) {
  if (!good) fail(ErrorKind::usage, "{} is {}, but must be {}", name, value, range);
}

}  // namespace

void validate(const SamplingParams& p, int64_t vocab_size) {
  check_range("temperature", p.temperature, p.temperature >= 0 && p.temperature <= 100,
              "between 0 and 100");
  check_range("top_k", p.top_k, p.top_k >= 0, "0 (off) or more");
  check_range("top_p", p.top_p, p.top_p > 0 && p.top_p <= 1, "above 0 and at most 1");
  check_range("min_p", p.min_p, p.min_p >= 0 && p.min_p <= 1, "between 0 and 1");
  check_range("repetition_penalty", p.repetition_penalty,
              p.repetition_penalty >= 0.01 && p.repetition_penalty <= 100, "between 0.01 and 100");
  check_range("frequency_penalty", p.frequency_penalty,
              p.frequency_penalty >= -2 && p.frequency_penalty <= 2, "between -2 and 2");
  check_range("presence_penalty", p.presence_penalty,
              p.presence_penalty >= -2 && p.presence_penalty <= 2, "between -2 and 2");
  check_range("logprobs", p.logprobs, p.logprobs >= -1 && p.logprobs <= 64, "at most 64");
  for (const auto& [id, bias] : p.logit_bias) {
    if (id < 0 || id >= vocab_size)
      fail(ErrorKind::usage, "logit_bias names token {}, but ids are below {}", id, vocab_size);
    if (!(bias < infinity))
      fail(ErrorKind::usage, "logit_bias of token {} is {}, but must be a number", id, bias);
  }
}

bool uses_counts(const SamplingParams& p) {
  return p.repetition_penalty != 1 || p.frequency_penalty != 0 || p.presence_penalty != 0;
}

TokenCounts::TokenCounts(int64_t vocab_size)
    : is_seen_(static_cast<size_t>(vocab_size)), generated_(static_cast<size_t>(vocab_size)) {}

void TokenCounts::see(int32_t token) {
  if (is_seen_[static_cast<size_t>(token)]) return;
  is_seen_[static_cast<size_t>(token)] = true;
  seen_.push_back(token);
}

void TokenCounts::add_prompt(std::span<const int32_t> tokens) {
  for (const int32_t token : tokens) see(token);
}

void TokenCounts::add_generated(int32_t token) {
  see(token);
  ++generated_[static_cast<size_t>(token)];
}

double log_sum_exp(std::span<const float> x, float largest) {
  double sum = 0;
  for (size_t begin = 0; begin < x.size(); begin += block) {
    const size_t n = std::min(block, x.size() - begin);
    float weights[block] = {};
    for (size_t i = 0; i < n; ++i) weights[i] = exp_nonpositive(x[begin + i] - largest);
    double part[lanes] = {};
    for (size_t i = 0; i < block; i += lanes)
      for (size_t l = 0; l < lanes; ++l) part[l] += static_cast<double>(weights[i + l]);
    for (const double p : part) sum += p;
  }
  return static_cast<double>(largest) + std::log(sum);
}

Sampler::Sampler(int64_t vocab_size)
    : weights_((static_cast<size_t>(vocab_size) + block - 1) / block * block),
      block_sums_(weights_.size() / block) {}

std::span<const float> Sampler::adjust(std::span<const float> logits, const SamplingParams& params,
                                       const TokenCounts* counts, const Allowed& allowed) {
  const bool penalize = counts != nullptr && uses_counts(params);
  if (params.logit_bias.empty() && !penalize && allowed.mask == nullptr) return logits;
  if (allowed.mask == nullptr)
    adjusted_.assign(logits.begin(), logits.end());
  else
    keep_allowed(logits, allowed, adjusted_);
  for (const auto& [id, bias] : params.logit_bias) adjusted_[static_cast<size_t>(id)] += bias;
  if (!penalize) return adjusted_;
  const auto repetition = static_cast<float>(params.repetition_penalty);
  const auto frequency = static_cast<float>(params.frequency_penalty);
  const auto presence = static_cast<float>(params.presence_penalty);
  for (const int32_t token : counts->seen()) {
    float& logit = adjusted_[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / repetition : logit * repetition;
    const uint32_t count = counts->generated(token);
    if (count > 0) logit -= static_cast<float>(count) * frequency + presence;
  }
  return adjusted_;
}

// Fills weights_ and block_sums_ with exp((logit - largest) / temperature) of what the cut keeps;
// returns their sum.
double Sampler::weigh(std::span<const float> logits, float largest, float inverse_temperature,
                      const Cut& cut) {
  double total = 0;
  for (size_t begin = 0; begin < logits.size(); begin += block) {
    const size_t n = std::min(block, logits.size() - begin);
    const float* x = logits.data() + begin;
    float* w = weights_.data() + begin;
    // Up to which place of this block the cut keeps logits equal to its own.
    const int64_t ties = int64_t{cut.id} + 1 - static_cast<int64_t>(begin);
    for (size_t i = 0; i < n; ++i) {
      const float weight = exp_nonpositive((x[i] - largest) * inverse_temperature);
      const uint32_t kept =
          static_cast<uint32_t>(weight >= cut.weight) & static_cast<uint32_t>(x[i] >= cut.logit);
      w[i] = bits_float(float_bits(weight) & (0u - kept));
    }
    for (size_t i = static_cast<size_t>(std::clamp<int64_t>(ties, 0, static_cast<int64_t>(n)));
         i < n; ++i)
      if (x[i] == cut.logit) w[i] = 0.0f;
    double part[lanes] = {};
    for (size_t i = 0; i < block; i += lanes)
      for (size_t l = 0; l < lanes; ++l) part[l] += static_cast<double>(w[i + l]);
    double sum = 0;
    for (const double p : part) sum += p;
    block_sums_[begin / block] = sum;
    total += sum;
  }
  return total;
}

// candidates_ becomes the k likeliest, in no particular order.
void Sampler::keep_top_k(std::span<const float> logits, size_t k) {
  candidates_.clear();
  const size_t first = k <= heap_max ? k : logits.size();
  for (size_t i = 0; i < first; ++i)
    candidates_.push_back({logits[i], 0.0f, static_cast<int32_t>(i)});
  if (k > heap_max) {
    std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<int64_t>(k),
                     candidates_.end(), before);
    candidates_.resize(k);
    return;
  }
  std::make_heap(candidates_.begin(), candidates_.end(), before);  // the worst kept is at the front
  for (size_t i = k; i < logits.size(); ++i) {
    if (!(logits[i] > candidates_.front().logit)) continue;
    std::pop_heap(candidates_.begin(), candidates_.end(), before);
    candidates_.back() = {logits[i], 0.0f, static_cast<int32_t>(i)};
    std::push_heap(candidates_.begin(), candidates_.end(), before);
  }
}

// Of candidates_ keeps the fewest of the likeliest whose weights reach the target: a quickselect
// that compares sums instead of ranks, so nothing is sorted.
void Sampler::keep_mass(double target) {
  size_t low = 0, high = candidates_.size();  // the last one kept is in [low, high)
  double mass = 0;                            // of [0, low)
  while (high - low > 1) {
    const size_t middle = low + (high - low) / 2;
    const auto at = [&](size_t i) { return candidates_.begin() + static_cast<int64_t>(i); };
    std::nth_element(at(low), at(middle), at(high), before);
    double part = 0;
    for (size_t i = low; i < middle; ++i) part += static_cast<double>(candidates_[i].weight);
    if (mass + part >= target) {
      high = middle;
    } else {
      mass += part;
      low = middle;
    }
  }
  candidates_.resize(low + 1);
}

Sampler::Cut Sampler::find_cut(std::span<const float> logits, float largest,
                               float inverse_temperature, const SamplingParams& params) {
  Cut cut{-infinity, std::numeric_limits<int32_t>::max(), static_cast<float>(params.min_p)};
  const auto k = static_cast<size_t>(params.top_k);
  const bool by_rank = k > 0 && k < logits.size();
  if (!by_rank && params.top_p >= 1) return cut;
  double total = 0;
  if (by_rank) {
    keep_top_k(logits, k);
    for (Candidate& c : candidates_) {
      c.weight = exp_nonpositive((c.logit - largest) * inverse_temperature);
      total += static_cast<double>(c.weight);
    }
  } else {
    total = weigh(logits, largest, inverse_temperature, {cut.logit, cut.id, 0.0f});
    // All tokens lighter than this weigh less than 1 - top_p together, so none is in the nucleus.
    const auto least =
        static_cast<float>(total * (1 - params.top_p) / static_cast<double>(logits.size()));
    candidates_.clear();
    for (size_t i = 0; i < logits.size(); ++i)
      if (weights_[i] >= least)
        candidates_.push_back({logits[i], weights_[i], static_cast<int32_t>(i)});
  }
  if (params.top_p < 1) keep_mass(total * params.top_p);
  const Candidate& last = *std::max_element(candidates_.begin(), candidates_.end(), before);
  cut.logit = last.logit;
  cut.id = last.id;
  return cut;
}

// The token at which the running sum of the weights first exceeds the target.
int32_t Sampler::draw(double target) const {
  double sum = 0;
  size_t b = 0, last = 0;
  for (; b < block_sums_.size(); ++b) {
    if (block_sums_[b] <= 0) continue;
    last = b;
    if (sum + block_sums_[b] > target) break;
    sum += block_sums_[b];
  }
  // Rounding can leave the target at the end of all blocks, or of one: the last token with a
  // weight is the right one then.
  const bool at_end = b == block_sums_.size();
  if (at_end) b = last;
  size_t found = b * block;
  for (size_t i = b * block; i < (b + 1) * block; ++i) {
    if (weights_[i] <= 0) continue;
    found = i;
    sum += static_cast<double>(weights_[i]);
    if (!at_end && sum > target) break;
  }
  return static_cast<int32_t>(found);
}

void Sampler::report(std::span<const float> logits, float largest, const SamplingParams& params,
                     Sampled& sampled, std::vector<TokenLogprob>& top) {
  if (params.logprobs < 0) return;
  const double norm = log_sum_exp(logits, largest);
  const auto logprob = [&](float logit) {
    return static_cast<float>(static_cast<double>(logit) - norm);
  };
  sampled.logprob = logprob(logits[static_cast<size_t>(sampled.token)]);
  const size_t n = std::min(static_cast<size_t>(params.logprobs), logits.size());
  if (n == 0) return;
  keep_top_k(logits, n);
  std::sort(candidates_.begin(), candidates_.end(), before);
  for (const Candidate& c : candidates_) top.push_back({c.id, logprob(c.logit)});
}

Sampled Sampler::sample(std::span<const float> logits, const SamplingParams& params,
                        const TokenCounts* counts, uint64_t seed, uint64_t stream,
                        uint64_t position, std::vector<TokenLogprob>& top, const Allowed& allowed) {
  top.clear();
  const Extreme raw = find_largest(logits);
  if (!raw.finite) return {Sampled::Status::not_finite};
  if (raw.largest == -infinity) return {Sampled::Status::none_left};
  const std::span<const float> x = adjust(logits, params, counts, allowed);
  const Extreme adjusted = x.data() == logits.data() ? raw : find_largest(x);
  if (!adjusted.finite) return {Sampled::Status::not_finite};
  if (adjusted.largest == -infinity) return {Sampled::Status::none_left};
  Sampled sampled;
  if (params.temperature < temperature_min) {
    sampled.token = first_equal(x, adjusted.largest);
  } else {
    const auto inverse = static_cast<float>(1 / params.temperature);
    const Cut cut = find_cut(x, adjusted.largest, inverse, params);
    const double total = weigh(x, adjusted.largest, inverse, cut);
    sampled.token = draw(total * random_uniform(seed, stream, position));
  }
  report(logits, raw.largest, params, sampled, top);
  return sampled;
}

Sampled Sampler::force(std::span<const float> logits, const SamplingParams& params, int32_t token,
                       std::vector<TokenLogprob>& top) {
  top.clear();
  const Extreme raw = find_largest(logits);
  if (!raw.finite) return {Sampled::Status::not_finite};
  if (raw.largest == -infinity) return {Sampled::Status::none_left};
  Sampled sampled;
  sampled.token = token;
  report(logits, raw.largest, params, sampled, top);
  return sampled;
}

}  // namespace hadal::infer
