// The attention of a layer with its projections: MLA in the expanded form (arXiv 2405.04434, 2.1),
// or dense attention with shared key heads. Each keeps what its backward pass needs of the last
// forward pass.
#pragma once

#include <memory>
#include <string>

#include "model/weights.h"
#include "train/attention.h"
#include "train/norm.h"

namespace hadal::train {

// cos and sin of each row's position: [rows, dim].
struct Angles {
  const float* data = nullptr;
  int64_t dim = 0;
};

class AttentionLayer {
 public:
  virtual ~AttentionLayer() = default;
  virtual void load(const Context& context, const model::Attention& weights) = 0;
  virtual void refresh(const Context& context) = 0;
  // y = residual + the attention of x; all [rows, hidden].
  virtual void forward(const Context& context, const Batch& batch, const Angles& angles,
                       const OperandRows& x, const float* residual, float* y) = 0;
  // dx from dy and the x of the forward pass.
  virtual void backward(const Context& context, const Batch& batch, const Angles& angles,
                        const OperandRows& x, const OperandRows& dy, float* dx) = 0;
  // Swaps what the passes keep with a layer of the same shape.
  virtual void exchange(AttentionLayer& other) = 0;
};

// prefix: "model.layers.0.self_attn."
std::unique_ptr<AttentionLayer> make_attention(const model::ModelConfig& config,
                                               Parameters& parameters, const std::string& prefix);

}  // namespace hadal::train
