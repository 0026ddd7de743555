#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "eval/sequence.h"
#include "infer/sampler.h"

namespace hadal::eval {
namespace {

// Logits of one forward call: at most this many floats, so that a vocabulary of 129,280 does not
// ask for half a gigabyte.
constexpr int64_t logits_max = int64_t{16} << 20;

struct Window {
  std::vector<int32_t> inputs;
  std::span<const int32_t> targets;
};

std::vector<Window> windows(std::span<const int32_t> tokens, const PerplexityOptions& options) {
  std::vector<Window> out;
  const size_t given = options.bos >= 0 ? 0 : 1;  // tokens that nothing predicts
  const auto width = static_cast<size_t>(options.window);
  for (size_t begin = given; begin < tokens.size(); begin += width) {
    const size_t n = std::min(width, tokens.size() - begin);
    Window window;
    window.targets = tokens.subspan(begin, n);
    if (options.bos >= 0) {
      window.inputs.push_back(options.bos);
      window.inputs.insert(window.inputs.end(), window.targets.begin(), window.targets.end() - 1);
    } else {
      const auto first = tokens.begin() + static_cast<std::ptrdiff_t>(begin) - 1;
      window.inputs.assign(first, first + static_cast<std::ptrdiff_t>(n));
    }
    out.push_back(std::move(window));
  }
  return out;
}

void check(const model::ModelConfig& config, std::span<const int32_t> tokens,
           const PerplexityOptions& options) {
  if (options.window < 1 || options.window > config.context_length)
    fail(ErrorKind::limit, "the window of {} tokens does not fit the model's context of {}",
         options.window, config.context_length);
  if (options.bos >= config.vocab_size)
    fail(ErrorKind::format, "the begin token {} is outside of the vocabulary of {}", options.bos,
         config.vocab_size);
  for (const int32_t id : tokens)
    if (id < 0 || id >= config.vocab_size)
      fail(ErrorKind::format, "token id {} is outside of the model's vocabulary of {}", id,
           config.vocab_size);
  if (tokens.size() < (options.bos >= 0 ? 1 : 2))
    fail(ErrorKind::usage, "the text is too short to measure: {} tokens", tokens.size());
}

int64_t chunk_for(const model::ModelConfig& config, int64_t window) {
  constexpr int64_t chunk_max = 512;
  return std::clamp<int64_t>(logits_max / config.vocab_size, 1, std::min(window, chunk_max));
}

double log_sum_exp(const float* logits, int64_t n) {
  return infer::log_sum_exp({logits, static_cast<size_t>(n)},
                            *std::max_element(logits, logits + n));
}

class Losses {
 public:
  void add(double loss) {
    sum_ += loss;
    squares_ += loss * loss;
    ++count_;
  }
  Perplexity result() const {
    Perplexity out;
    out.tokens = count_;
    out.nll = sum_;
    const auto n = static_cast<double>(count_);
    const double mean = sum_ / n;
    out.standard_error =
        count_ > 1 ? std::sqrt(std::max(0.0, squares_ / n - mean * mean) / (n - 1.0)) : 0.0;
    return out;
  }

 private:
  double sum_ = 0.0, squares_ = 0.0;
  int64_t count_ = 0;
};

// KL(p || q) of two rows of logits, given their log-sums.
double kl(const float* p, double p_sum, const float* q, double q_sum, int64_t n) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) {
    const double log_p = static_cast<double>(p[i]) - p_sum;
    sum += std::exp(log_p) * (log_p - (static_cast<double>(q[i]) - q_sum));
  }
  return sum;
}

}  // namespace

double Perplexity::value() const {
  return std::exp(nll / static_cast<double>(tokens));
}

Perplexity perplexity(const model::Model& model, std::span<const int32_t> tokens,
                      const PerplexityOptions& options, ThreadPool& pool,
                      const Progress& progress) {
  check(model.config, tokens, options);
  const int64_t vocab = model.config.vocab_size;
  Sequence sequence(model, options.precision, pool, options.window,
                    chunk_for(model.config, options.window), options.cache);
  Losses losses;
  int64_t done = 0;
  for (const Window& window : windows(tokens, options)) {
    sequence.reset();
    sequence.append(window.inputs, [&](int64_t first, int64_t count, std::span<const float> rows) {
      std::vector<double> loss(static_cast<size_t>(count));
      pool.parallel_for(count, 4, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const float* row = rows.data() + i * vocab;
          const int32_t target = window.targets[static_cast<size_t>(first + i)];
          loss[static_cast<size_t>(i)] = log_sum_exp(row, vocab) - static_cast<double>(row[target]);
        }
      });
      for (const double value : loss) losses.add(value);
      done += count;
      if (progress) progress(done, static_cast<int64_t>(tokens.size()));
    });
  }
  return losses.result();
}

Divergence divergence(const model::Model& reference, const model::Model& model,
                      std::span<const int32_t> tokens, const PerplexityOptions& options,
                      ThreadPool& pool, const Progress& progress) {
  check(reference.config, tokens, options);
  check(model.config, tokens, options);
  const int64_t vocab = reference.config.vocab_size;
  if (model.config.vocab_size != vocab)
    fail(ErrorKind::usage, "the models' vocabularies differ: {} and {} tokens", vocab,
         model.config.vocab_size);
  const int64_t chunk = chunk_for(reference.config, options.window);
  Sequence first(reference, options.precision, pool, options.window, chunk);
  Sequence second(model, options.precision, pool, options.window, chunk, options.cache);
  Losses reference_losses, model_losses;
  double kl_sum = 0.0;
  int64_t same = 0, done = 0;
  for (const Window& window : windows(tokens, options)) {
    first.reset();
    second.reset();
    const std::span<const int32_t> inputs(window.inputs);
    for (size_t begin = 0; begin < inputs.size(); begin += static_cast<size_t>(chunk)) {
      const auto part =
          inputs.subspan(begin, std::min(static_cast<size_t>(chunk), inputs.size() - begin));
      std::span<const float> p, q;
      first.append(part, [&](int64_t, int64_t, std::span<const float> rows) { p = rows; });
      second.append(part, [&](int64_t, int64_t, std::span<const float> rows) { q = rows; });
      for (size_t i = 0; i < part.size(); ++i) {
        const float* p_row = p.data() + static_cast<int64_t>(i) * vocab;
        const float* q_row = q.data() + static_cast<int64_t>(i) * vocab;
        const double p_sum = log_sum_exp(p_row, vocab);
        const double q_sum = log_sum_exp(q_row, vocab);
        const int32_t target = window.targets[begin + i];
        reference_losses.add(p_sum - static_cast<double>(p_row[target]));
        model_losses.add(q_sum - static_cast<double>(q_row[target]));
        kl_sum += kl(p_row, p_sum, q_row, q_sum, vocab);
        same += std::max_element(p_row, p_row + vocab) - p_row ==
                        std::max_element(q_row, q_row + vocab) - q_row
                    ? 1
                    : 0;
      }
      done += static_cast<int64_t>(part.size());
      if (progress) progress(done, static_cast<int64_t>(tokens.size()));
    }
  }
  Divergence out{reference_losses.result(), model_losses.result(), 0.0, 0.0};
  const auto n = static_cast<double>(out.reference.tokens);
  out.mean_kl = kl_sum / n;
  out.same_best_share = static_cast<double>(same) / n;
  return out;
}

}  // namespace hadal::eval
