#include "train/plan.h"

#include "base/random.h"

namespace hadal::train {

double flops_per_token(const model::ModelConfig& c, int64_t length, bool frozen) {
  const model::ParameterCount count = model::count_parameters(c);
  // A table that is only looked up in multiplies nothing.
  const int64_t table = c.tied_head ? 0 : c.vocab_size * c.hidden_size;
  const int64_t widths = c.is_mla() ? c.qk_nope_dim + c.qk_rope_dim + c.v_dim : 2 * c.head_dim;
  // Causal: scores and values, two operations each, over half of the length.
  const double attention = static_cast<double>(c.layers * c.heads * widths * length);
  return (frozen ? 4.0 : 6.0) * static_cast<double>(count.active - table) + 3.0 * attention;
}

MemoryPlan plan_memory(const Parameters& parameters, const TrainOptions& options) {
  constexpr int64_t bytes = sizeof(float);
  MemoryPlan plan;
  const int64_t operand_bytes = options.precision == model::Precision::f32 ? 2 * 4 : 2 * 2;
  for (const Parameter& p : parameters.list()) {
    if (p.value != nullptr) plan.values += p.size() * bytes;
    if (p.shape.size() > 1 && !p.is_adapter) plan.operands += p.size() * operand_bytes;
    if (!p.has_gradient) continue;
    plan.trained += p.size();
    plan.gradients += p.size() * bytes;
    const bool muon = options.optimizer.muon && kind_of(p) == Kind::matrix;
    const int64_t moments = (muon ? 1 : 2) + (options.optimizer.average > 0 ? 1 : 0);
    plan.optimizer += p.size() * bytes * moments;
  }
  return plan;
}

Batch random_batch(const model::ModelConfig& config, int64_t sequences, int64_t length,
                   uint64_t seed) {
  Batch batch;
  for (int64_t i = 0; i <= sequences; ++i) batch.documents.push_back(i * length);
  batch.sequences = batch.documents;
  for (int64_t i = 0; i < sequences * length; ++i) {
    const auto token = [&](uint64_t stream) {
      const double at = random_uniform(seed, stream, static_cast<uint64_t>(i));
      return static_cast<int32_t>(at * static_cast<double>(config.vocab_size));
    };
    batch.tokens.push_back(token(0));
    batch.targets.push_back(token(1));
  }
  return batch;
}

}  // namespace hadal::train
