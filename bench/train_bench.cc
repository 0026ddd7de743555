// Speed of one training step (forward and backward) of the `nano` configuration, and the share of
// time of its parts.
//   build/release/bench/train_bench [SEQUENCES [LENGTH [STEPS [THREADS [f32|native]]]]]
#include <algorithm>
#include <array>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "base/error.h"
#include "base/random.h"
#include "eval/machine.h"
#include "train/network.h"
#include "train/profile.h"

namespace hadal::train {
namespace {

model::ModelConfig nano() {
  model::ModelConfig c;
  c.vocab_size = 4096;
  c.hidden_size = 320;
  c.layers = 8;
  c.heads = c.kv_heads = 5;
  c.context_length = 4096;
  c.tied_head = true;
  c.kv_lora_rank = 128;
  c.qk_nope_dim = c.qk_rope_dim = 32;
  c.v_dim = 64;
  c.attention_scale = 0.125;
  c.intermediate_size = 512;
  c.moe_intermediate_size = 128;
  c.experts = 16;
  c.experts_per_token = 3;
  c.shared_experts = 1;
  c.first_dense_layers = 1;
  c.scoring = model::Scoring::sigmoid;
  c.normalize_expert_weights = true;
  c.expert_weights_scale = 1.5;
  return c;
}

// Per token, as training.md counts: six for every active parameter of a matrix, and attention.
double flops_per_token(const model::ModelConfig& c, int64_t length) {
  const model::ParameterCount count = model::count_parameters(c);
  const auto active = static_cast<double>(count.active);
  const double attention = static_cast<double>(c.layers * c.heads) *
                           static_cast<double>(c.qk_nope_dim + c.qk_rope_dim + c.v_dim) *
                           static_cast<double>(length);  // causal: half of 2 * length
  return 6.0 * active + 3.0 * attention;
}

Batch random_batch(const model::ModelConfig& c, int64_t sequences, int64_t length) {
  Batch batch;
  for (int64_t i = 0; i <= sequences; ++i) batch.documents.push_back(i * length);
  batch.sequences = batch.documents;
  const auto token = [&](uint64_t stream, int64_t i) {
    const double at = random_uniform(7, stream, static_cast<uint64_t>(i));
    return static_cast<int32_t>(at * static_cast<double>(c.vocab_size));
  };
  for (int64_t i = 0; i < sequences * length; ++i) {
    batch.tokens.push_back(token(0, i));
    batch.targets.push_back(token(1, i));
  }
  return batch;
}

void set_random(Parameters& parameters) {
  uint64_t stream = 0;
  for (Parameter& p : parameters.list()) {
    ++stream;
    for (int64_t i = 0; p.has_gradient && i < p.size(); ++i)
      p.value[i] =
          p.shape.size() == 1 ? 1.0f : 0.02f * random_normal(3, stream, static_cast<uint64_t>(i));
  }
}

struct Settings {
  int64_t sequences = 16, length = 512, steps = 3;
  int threads = 0;
  model::Precision precision = model::Precision::native;
};

void measure(const Settings& s) {
  ThreadPool pool(s.threads);
  const Context context{kernels::active(), pool, s.precision};
  const model::ModelConfig config = nano();
  Network network(config);
  set_random(network.parameters());
  const Batch batch = random_batch(config, s.sequences, s.length);
  const LossWeights weights;
  network.refresh(context);
  double loss = network.step(context, batch, weights, true).total;  // grows all buffers
  double best = 0;
  std::array<double, part_count> parts{};
  for (int64_t i = 0; i < s.steps; ++i) {
    network.parameters().zero_gradients();
    profile().enter(Part::other);
    profile().seconds.fill(0);
    {
      const Timed timed(Part::refresh);
      network.refresh(context);
    }
    loss = network.step(context, batch, weights, true).total;
    profile().enter(Part::other);
    const std::array<double, part_count>& now = profile().seconds;
    const double seconds = std::accumulate(now.begin(), now.end(), 0.0);
    if (best > 0 && seconds >= best) continue;
    best = seconds;
    parts = now;
  }
  const auto peak_kind =
      s.precision == model::Precision::native ? kernels::Product::bf16 : kernels::Product::fp32;
  const double peak = eval::measure_machine(pool, 1 << 26).best(peak_kind);
  for (size_t i = 0; i < part_count; ++i)
    fmt::print("{:36} {:9.2f} ms {:5.1f}%\n", part_names[i], 1e3 * parts[i],
               100.0 * parts[i] / best);
  const auto tokens = static_cast<double>(batch.rows());
  const double rate = tokens * flops_per_token(config, s.length) / best;
  fmt::print("loss {:.6f}; {} tokens in {:.1f} ms: {:.0f} tokens/s, {:.3f} TFLOP/s", loss,
             batch.rows(), 1e3 * best, tokens / best, 1e-12 * rate);
  fmt::print(", {:.1f}% of {:.2f} TFLOP/s; {} threads, {}, {:.0f} MB\n", 100.0 * rate / peak,
             1e-12 * peak, pool.threads(), context.kernels.name,
             1e-6 * static_cast<double>(eval::process_memory().peak_resident));
}

}  // namespace
}  // namespace hadal::train

int main(int argc, char** argv) {
  using hadal::model::Precision;
  hadal::train::Settings s;
  const auto number = [&](int i, int64_t otherwise) {
    return argc > i ? std::max<int64_t>(1, std::atoll(argv[i])) : otherwise;
  };
  s.sequences = number(1, s.sequences);
  s.length = number(2, s.length);
  s.steps = number(3, s.steps);
  s.threads = static_cast<int>(argc > 4 ? number(4, 1) : 0);
  if (argc > 5 && std::string(argv[5]) == "f32") s.precision = Precision::f32;
  try {
    hadal::train::measure(s);
  } catch (const hadal::Error& e) {
    fmt::print(stderr, "train_bench: {}\n", e.what());
    return 1;
  }
}
