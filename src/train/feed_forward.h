// The feed-forward parts: SwiGLU, and DeepSeekMoE with its router. Each keeps what its backward
// pass needs of the last forward pass.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/router.h"
#include "model/weights.h"
#include "train/batch.h"
#include "train/linear.h"

namespace hadal::train {

// h = silu(g) * u; in place of g, u: the derivatives from dh. Rows [0, n).
void silu_mul_backward(const float* g, const float* u, const float* dh, int64_t n, float* dg,
                       float* du);

// down(silu(gate x) * (up x))
class FeedForward {
 public:
  FeedForward() = default;
  FeedForward(Parameters& parameters, const std::string& prefix, int64_t hidden, int64_t width)
      : gate(parameters, prefix + "gate_proj", width, hidden),
        up(parameters, prefix + "up_proj", width, hidden),
        down(parameters, prefix + "down_proj", hidden, width) {}

  explicit operator bool() const { return static_cast<bool>(gate); }
  void load(const Context& context, const model::Mlp& weights);
  void refresh(const Context& context);
  void forward(const Context& context, const float* x, int64_t n, float* y);
  void backward(const Context& context, const float* x, const float* dy, int64_t n, float* dx);

  Linear gate, up, down;

 private:
  Buffer gate_buffer_, up_buffer_, hidden_buffer_, d_hidden_buffer_, d_gate_buffer_, d_up_buffer_,
      dx_buffer_;
  float* gate_ = nullptr;  // [n, width], before the activation
  float* up_ = nullptr;    // [n, width]
  float* hidden_ = nullptr;
};

// What the balance of the experts is made of (DeepSeek-V3, arXiv 2412.19437, 2.1.2).
struct ExpertStats {
  std::vector<int64_t> load;  // [experts]: tokens that chose each
  double balance = 0;         // the sequence-wise loss, before its weight
};

class MoeLayer {
 public:
  MoeLayer(const model::ModelConfig& config, Parameters& parameters, const std::string& prefix);

  void load(const Context& context, const model::Experts& weights);
  void refresh(const Context& context);
  void forward(const Context& context, const Batch& batch, const float* x, float* y);
  // balance_weight: what the sequence-wise balance loss counts in the whole loss, the mean over
  // sequences taken.
  void backward(const Context& context, const Batch& batch, float balance_weight, const float* x,
                const float* dy, float* dx);

  const ExpertStats& stats() const { return stats_; }
  Parameter* correction_bias() { return bias_; }

 private:
  void route(const Context& context, const float* x, int64_t n);
  void count_balance(const Batch& batch);
  void run_experts(const Context& context, std::vector<kernels::Matmul>& products,
                   const std::function<void(FeedForward&, int64_t, int64_t)>& name);
  void backward_experts(const Context& context, int64_t n, const float* dy);
  void backward_router(const Context& context, const Batch& batch, float balance_weight,
                       const float* x, float* dx);

  const model::ModelConfig& c_;
  Linear router_;
  Parameter* bias_ = nullptr;
  std::vector<FeedForward> experts_;
  FeedForward shared_;
  ExpertStats stats_;
  std::vector<float> frequencies_;  // [sequences, experts]: f of the balance loss
  std::vector<int32_t> chosen_;     // [n, k] ascending in a row
  std::vector<float> weights_;      // [n, k]
  std::vector<float> d_weights_;    // [n, k]
  std::vector<int64_t> offsets_;    // [experts + 1]
  std::vector<int64_t> places_;     // [n, k]: where row and expert lie in the sorted order
  Buffer scores_buffer_, sorted_buffer_, gate_buffer_, up_buffer_, hidden_buffer_, out_buffer_,
      shared_out_buffer_;
  Buffer d_hidden_buffer_, d_gate_buffer_, d_up_buffer_, d_sorted_buffer_, d_scores_buffer_;
  float* scores_ = nullptr;  // [n, experts]: after sigmoid or softmax
  float* sorted_ = nullptr;  // [n * k, hidden]: inputs by expert
  float* gate_ = nullptr;    // [n * k, width]
  float* up_ = nullptr;
  float* hidden_ = nullptr;
  float* d_sorted_ = nullptr;  // [n * k, hidden]
};

}  // namespace hadal::train
