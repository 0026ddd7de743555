// The feed-forward parts: SwiGLU, and DeepSeekMoE with its router. Each keeps what its backward
// pass needs of the last forward pass.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "model/router.h"
#include "model/weights.h"
#include "train/batch.h"
#include "train/linear.h"

namespace hadal::train {

// What SwiGLU keeps of its rows between the passes, and leaves for the gradients of its weights.
struct FeedForwardRows {
  void start(const Context& context, int64_t n, int64_t width);
  void start_backward(const Context& context);

  int64_t n = 0, width = 0;
  OperandRows gate, up;      // [n, width], before the activation
  OperandRows hidden;        // [n, width]: silu(gate) * up, times the row's weight if it has one
  OperandRows d_gate, d_up;  // [n, width]
};

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

  // y [x.rows, hidden] (added to it if add) of rows that stand at `first` in `kept`. On this
  // thread.
  void forward(const Context& context, const Operand& x, const FeedForwardRows& kept, int64_t first,
               float* y, bool add) const;
  // dx [dy.rows, hidden] from dy. With weights, row r of the output counted weights[r] times, and
  // d_weights[r] becomes that weight's derivative. On this thread.
  void backward(const Context& context, const Operand& dy, const FeedForwardRows& kept,
                int64_t first, float* dx, const float* weights, float* d_weights) const;
  // Of rows [first, first + x.rows): appends the three gradients.
  void name_gradients(const Operand& x, const Operand& dy, const FeedForwardRows& kept,
                      int64_t first, std::vector<WeightGradient>& out) const;

  Linear gate, up, down;
};

// What the balance of the experts is made of (DeepSeek-V3, arXiv 2412.19437, 2.1.2).
struct ExpertStats {
  std::vector<int64_t> load;  // [experts]: tokens that chose each
  double balance = 0;         // the sequence-wise loss, before its weight
};

// What the passes of a layer with experts keep.
struct MoeRows {
  // Rows that one thread takes through one expert; the shared one, if expert is -1.
  struct Task {
    int64_t expert, first, count;
  };
  std::vector<float> frequencies_;  // [sequences, experts]: f of the balance loss
  std::vector<double> shares_;      // [sequences, experts]: sums of P of the balance loss
  std::vector<int32_t> chosen_;     // [n, k] ascending in a row
  std::vector<float> weights_;      // [n, k]
  std::vector<int64_t> offsets_;    // [experts + 1]
  std::vector<int64_t> places_;     // [n, k]: where row and expert lie in the sorted order
  std::vector<int32_t> row_of_;     // [n * k]: the row at a place
  std::vector<float> sorted_weights_, sorted_d_weights_;  // [n * k]
  std::vector<Task> tasks_;
  FeedForwardRows routed_rows_, shared_rows_;
  OperandRows sorted_, d_sorted_;  // [n * k, hidden]: inputs and derivatives by expert
  Buffer scores_buffer_, d_scores_buffer_;
  float* scores_ = nullptr;    // [n, experts]: after sigmoid or softmax
  float* d_scores_ = nullptr;  // [n, experts]: of the logits
};

class MoeLayer : private MoeRows {
 public:
  MoeLayer(const model::ModelConfig& config, Parameters& parameters, const std::string& prefix);

  void load(const Context& context, const model::Experts& weights);
  void refresh(const Context& context);
  // y = residual + the layer's output, [n, hidden]. x: its input as floats, for the router; rows:
  // the same as operands.
  void forward(const Context& context, const Batch& batch, const float* x, const OperandRows& rows,
               const float* residual, float* y);
  // dx from dy. balance_weight: what the sequence-wise balance loss counts in the whole loss, the
  // mean over sequences taken.
  void backward(const Context& context, const Batch& batch, float balance_weight, const float* x,
                const OperandRows& rows, const OperandRows& dy, float* dx);

  // Swaps what the passes keep, but for the stats, with a layer of the same shape.
  void exchange(MoeLayer& other) { std::swap<MoeRows>(*this, other); }

  const ExpertStats& stats() const { return stats_; }
  Parameter* correction_bias() { return bias_; }

 private:
  void route(const Context& context, const float* x, int64_t n);
  void sort(int64_t n);
  void count_balance(const Context& context, const Batch& batch);
  void run_tasks(const Context& context, const std::function<void(const Task&)>& body) const;
  void gather(const OperandRows& from, const Task& task, const OperandRows& to) const;
  void backward_scores(const Context& context, const Batch& batch, float balance_weight);
  void score_derivatives(const float* frequency, float balance, int64_t row, float* out) const;
  void accumulate(const Context& context, const float* x, const OperandRows& rows,
                  const OperandRows& dy) const;

  const model::ModelConfig& c_;
  Linear router_;
  Parameter* bias_ = nullptr;
  std::vector<FeedForward> experts_;
  FeedForward shared_;
  ExpertStats stats_;
  std::vector<model::Router> routers_;  // by thread
};

}  // namespace hadal::train
