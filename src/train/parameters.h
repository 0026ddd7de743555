// What training changes: named tensors in F32 with their gradients, in one block of memory each, so
// that optimizers, clipping and checkpoints see one list.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernels.h"
#include "model/buffer.h"

namespace hadal::train {

// Low-rank adaptation (arXiv 2106.09685): all weights of a model stay, and beside the matrices
// named here learns (alpha / rank) B A.
struct Lora {
  int64_t rank = 0;  // 0: none of this, all weights learn
  double alpha = 32;
  bool attention = true;  // projections of attention
  bool experts = true;    // of experts, routed and shared, and of dense layers

  explicit operator bool() const { return rank > 0; }
};

struct Parameter {
  std::string name;  // as Hugging Face checkpoints name it
  std::vector<int64_t> shape;
  bool has_gradient = true;  // not so for the router's correction bias, which a rule moves
  bool is_adapter = false;   // A or B of low-rank adaptation: no part of the model that is written
  float* value = nullptr;    // null for a frozen matrix
  float* gradient = nullptr;

  // A frozen matrix: a loaded model's, in whatever format, and what is added to it.
  kernels::Matrix frozen{};
  Parameter* a = nullptr;  // [rank, shape[1]]
  Parameter* b = nullptr;  // [shape[0], rank]
  float scale = 0;

  int64_t size() const {
    int64_t n = 1;
    for (const int64_t d : shape) n *= d;
    return n;
  }
};

class Parameters {
 public:
  explicit Parameters(const Lora& lora = {}) : lora_(lora) {}

  // The address of the parameter stays valid; value and gradient are null until allocate(). Under
  // LoRA it has no gradient, a matrix no value either, but adapters where they are wanted.
  Parameter& add(std::string name, std::vector<int64_t> shape, bool has_gradient = true);
  // Zeroes everything. Called once, after the last add().
  void allocate();

  std::deque<Parameter>& list() { return list_; }
  const std::deque<Parameter>& list() const { return list_; }
  Parameter* find(std::string_view name);
  const Lora& lora() const { return lora_; }
  int64_t size() const { return size_; }  // of all but adapters, in elements
  void zero_gradients();
  std::span<float> gradients();  // all in one, with gaps that stay zero

 private:
  void add_adapters(Parameter& matrix);

  const Lora lora_;
  std::deque<Parameter> list_;
  int64_t size_ = 0, gradient_size_ = 0;
  model::Buffer values_, gradients_;
};

}  // namespace hadal::train
