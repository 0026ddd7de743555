// DeepSeekMoE (arXiv 2401.06066): y = sum_e g_e expert_e(x) + shared(x). The rows of a step are
// sorted by expert, so that each expert's weights are read once; a row's sum always runs over its
// experts in ascending order, whoever else is in the step.
#pragma once

#include <cstdint>
#include <vector>

#include "model/buffer.h"
#include "model/linear.h"
#include "model/router.h"

namespace hadal::model {

class Moe {
 public:
  Moe(const Context& context, const ModelConfig& config);

  // xn [n, hidden]: the normalised input, also in `x`; y [n, hidden]. trace: filled if not null.
  void forward(const Experts& w, const float* xn, Input& x, int64_t n, float* y,
               Trace::Router* trace);

 private:
  // Places [begin, end) of the sorted rows that are computed together.
  struct Wave {
    int64_t begin, end;
  };

  void route(const Experts& w, const float* xn, Input& x, int64_t n);
  void sort_rows(int64_t n);
  Wave next_wave(int64_t begin) const;
  void expert_products_in(const Experts& w, Input& x, Wave wave);
  void expert_products_out(const Experts& w, Wave wave);
  void activate(float* gate, const float* up, int64_t n, int64_t width);
  void accumulate(int64_t n, Wave wave, bool last, float* y);

  const Context& context_;
  const ModelConfig& config_;
  Buffer logits_buffer_, gate_buffer_, up_buffer_, out_buffer_;
  Buffer shared_gate_buffer_, shared_up_buffer_, shared_out_buffer_;
  float* gate_ = nullptr;         // [wave rows, moe width]
  float* up_ = nullptr;           // [wave rows, moe width]
  float* out_ = nullptr;          // [wave rows, hidden]
  float* shared_gate_ = nullptr;  // [n, shared width]
  float* shared_out_ = nullptr;   // [n, hidden]; null if there is no shared expert
  std::vector<int32_t> experts_;  // [n, k] ascending in a row
  std::vector<float> weights_;    // [n, k]
  std::vector<int64_t> offsets_;  // [experts + 1]: places of each expert's rows
  std::vector<int64_t> cursor_;   // [experts]
  std::vector<int32_t> places_;   // [n, k]: where row and expert lie in the sorted order
  std::vector<int32_t> sorted_;   // [n * k]: row at each place
  std::vector<kernels::Matmul> products_;
  Input gathered_, hidden_, shared_hidden_;
  std::vector<Router> routers_;  // by thread
};

}  // namespace hadal::model
