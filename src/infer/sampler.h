// From logits to a token. The order of the steps, which is the order of Hugging Face and vLLM, so
// that the settings on a model's card mean what its authors meant:
//
//   0. what a grammar forbids is left out of all that follows;
//   1. logit bias is added;
//   2. repetition penalty on every token of prompt and answer (a positive logit is divided, a
//      negative one multiplied), then frequency penalty (times the count) and presence penalty (if
//      there at all), both by the answer alone, as in OpenAI's API;
//   3. temperature divides; 0 takes the largest logit, the lowest id among equals, and skips the
//      rest;
//   4. top-k keeps the k largest;
//   5. top-p keeps the smallest set of the likeliest whose share of what top-k kept reaches p;
//   6. min-p drops what is less likely than min_p times the likeliest.
//
// (llama.cpp cuts first and divides by the temperature last: at temperatures other than 1 its top-p
// and min-p keep other sets.) Equal logits are ordered by id, so each cut is exact.
//
// The draw is a pure function of (seed, stream, position): the same request gives the same answer
// alone and in a batch. Log-probabilities are those of the model itself: of the raw logits, before
// step 1.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace hadal::infer {

struct SamplingParams {
  double temperature = 1.0;                           // [0, 100]; below 1e-6 counts as 0
  int32_t top_k = 0;                                  // 0: off
  double top_p = 1.0;                                 // (0, 1], 1: off
  double min_p = 0.0;                                 // [0, 1], 0: off
  double repetition_penalty = 1.0;                    // [0.01, 100], 1: off
  double frequency_penalty = 0.0;                     // [-2, 2]
  double presence_penalty = 0.0;                      // [-2, 2]
  std::vector<std::pair<int32_t, float>> logit_bias;  // (id, added); -infinity forbids
  std::optional<uint64_t> seed;                       // unset: the engine takes a random one
  int32_t logprobs =
      -1;  // -1: none wanted; else how many of the likeliest tokens to report (<= 64)
};

// Throws Error(usage) naming the parameter and its range.
void validate(const SamplingParams& params, int64_t vocab_size);

struct TokenLogprob {
  int32_t token = -1;
  float logprob = 0;
};

// How often each token occurred, for the penalties of one sequence.
class TokenCounts {
 public:
  explicit TokenCounts(int64_t vocab_size);
  void add_prompt(std::span<const int32_t> tokens);
  void add_generated(int32_t token);
  const std::vector<int32_t>& seen() const { return seen_; }  // each token once
  uint32_t generated(int32_t token) const { return generated_[static_cast<size_t>(token)]; }

 private:
  void see(int32_t token);
  std::vector<bool> is_seen_;
  std::vector<uint32_t> generated_;
  std::vector<int32_t> seen_;
};

// Whether the parameters need TokenCounts.
bool uses_counts(const SamplingParams& params);

// What a grammar allows: the tokens whose bits are set in the mask (bit i%64 of word i/64; tokens
// beyond its end are forbidden), but of `exceptions` exactly those with `true`.
struct Allowed {
  const std::vector<uint64_t>* mask = nullptr;  // null: everything
  std::vector<std::pair<int32_t, bool>> exceptions;
};

struct Sampled {
  enum class Status {
    ok,
    not_finite,  // a logit is NaN or +infinity: the model's arithmetic broke down
    none_left,   // every token is forbidden
  };
  Status status = Status::ok;
  int32_t token = -1;
  float logprob = 0;  // if wanted
};

// Scratch for one thread; nothing is allocated after the first call with the same parameters.
class Sampler {
 public:
  explicit Sampler(int64_t vocab_size);

  // logits [vocab]. counts: null unless uses_counts. top: filled with the likeliest tokens in
  // order if params.logprobs > 0, else emptied.
  Sampled sample(std::span<const float> logits, const SamplingParams& params,
                 const TokenCounts* counts, uint64_t seed, uint64_t stream, uint64_t position,
                 std::vector<TokenLogprob>& top, const Allowed& allowed = {});

  // As sample(), but the token is given: only its log-probability is looked up.
  Sampled force(std::span<const float> logits, const SamplingParams& params, int32_t token,
                std::vector<TokenLogprob>& top);

 private:
  struct Candidate {
    float logit;
    float weight;
    int32_t id;
  };
  // The last candidate that top-k and top-p keep, in the order of (logit descending, id ascending),
  // and the least weight that min-p keeps.
  struct Cut {
    float logit;
    int32_t id;
    float weight;
  };

  std::span<const float> adjust(std::span<const float> logits, const SamplingParams& params,
                                const TokenCounts* counts, const Allowed& allowed);
  double weigh(std::span<const float> logits, float largest, float inverse_temperature,
               const Cut& cut);
  Cut find_cut(std::span<const float> logits, float largest, float inverse_temperature,
               const SamplingParams& params);
  void keep_top_k(std::span<const float> logits, size_t k);
  void keep_mass(double target);
  int32_t draw(double target) const;
  void report(std::span<const float> logits, float largest, const SamplingParams& params,
              Sampled& sampled, std::vector<TokenLogprob>& top);

  std::vector<float> adjusted_;        // [vocab], allocated when first needed
  std::vector<float> weights_;         // [vocab] rounded up to whole blocks, the rest 0
  std::vector<double> block_sums_;     // of weights_
  std::vector<Candidate> candidates_;  // at most vocab
};

// log(sum(exp(x))), where largest is the largest of x, finite.
double log_sum_exp(std::span<const float> x, float largest);

}  // namespace hadal::infer
