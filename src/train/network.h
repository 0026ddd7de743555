// A whole model in training: parameters under their published names, forward pass to the loss, and
// backward pass to all gradients.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/config.h"
#include "model/rope.h"
#include "train/attention_layer.h"
#include "train/batch.h"
#include "train/feed_forward.h"
#include "train/norm.h"

namespace hadal::train {

struct LossWeights {
  float mtp = 0.3f;       // of the MTP layer's cross-entropy, where there is one
  float balance = 1e-4f;  // of the sequence-wise balance loss of every layer with experts
  float all = 1.0f;       // of everything in the gradients: a part of a batch counts its share
};

struct Losses {
  double cross_entropy = 0;  // mean over the targets, in nats
  double mtp = 0;            // the same for the token after
  double balance = 0;        // summed over layers, before its weight
  double total = 0;
  int64_t targets = 0;
};

class Network {
 public:
  // Every gradient and every value is zero. Under LoRA matrices are frozen, and have no values
  // until they are loaded.
  explicit Network(const model::ModelConfig& config, const Lora& lora = {});
  ~Network();

  const model::ModelConfig& config() const { return config_; }
  Parameters& parameters() { return parameters_; }

  // Takes the values of a checkpoint with this config; frozen ones stay where they are, and `model`
  // must outlive the network then.
  void load(const Context& context, const model::Model& model);

  // After every change of the values. Precision::f32: products of floats; native: BF16 operands
  // with F32 sums, as a BF16 checkpoint is served.
  void refresh(const Context& context);

  // Layers keep nothing for the backward pass but what lies between them; it computes each anew.
  // The same bits for a third more arithmetic, with activations of one layer (and the MTP layer)
  // instead of all.
  void set_recompute(bool recompute) { recompute_ = recompute; }

  // Loss of a batch and, if wanted, its gradients added to the parameters'.
  Losses step(const Context& context, const Batch& batch, const LossWeights& weights,
              bool gradients);

  // Layers with experts, MTP's last: what the last step sent to each.
  std::vector<MoeLayer*> moe_layers();

 private:
  struct Layer;
  struct Mtp;
  struct HeadResult {
    double loss;
    int64_t targets;
  };
  // A batch and the angles of its positions.
  struct Rows {
    Batch batch;
    std::vector<float> angles;
  };
  void set_angles(Rows& rows) const;
  Angles angles(const Rows& rows) const;
  void forward_layer(const Context& context, const Rows& rows, Layer& layer, const float* x);
  void backward_feed_forward(const Context& context, const Rows& rows, const LossWeights& weights,
                             Layer& layer);
  void backward_layer(const Context& context, const Rows& rows, const LossWeights& weights,
                      Layer& layer, const float* x, float* d);
  void final_norm_backward(const Context& context, const Norm& norm, const float* x, int64_t n,
                           float* d);
  HeadResult head(const Context& context, const float* h, const std::vector<int32_t>& targets,
                  float weight, float* dh);
  double cross_entropy(const Context& context, int32_t target, float scale, float* logits) const;
  void mtp_forward(const Context& context, const Batch& batch, const float* final_hidden);
  void mtp_backward(const Context& context, const LossWeights& weights, float* d_final_hidden);
  void embed(const Context& context, const std::vector<int32_t>& tokens, float* out);
  void embed_backward(const Context& context, const std::vector<int32_t>& tokens, const float* d);

  const model::ModelConfig config_;
  Parameters parameters_;
  model::Rope rope_;
  Parameter* embedding_ = nullptr;
  Linear head_;  // of a tied model: the embedding
  Norm final_norm_;
  std::vector<std::unique_ptr<Layer>> layers_;
  std::unique_ptr<Mtp> mtp_;
  bool recompute_ = false;
  Rows rows_;
  Buffer x_buffer_, final_buffer_, d_final_buffer_;
  // What layers and heads need for a moment only.
  Buffer router_buffer_, d_normed_buffer_;
  float* d_normed_ = nullptr;                  // [n, hidden]: behind the norm in hand
  OperandRows d_rows_, head_rows_, d_logits_;  // [n, hidden]: behind the part in hand; of a head
  ColumnSums norm_sums_;
  std::vector<double> losses_;  // by row of a head
};

}  // namespace hadal::train
