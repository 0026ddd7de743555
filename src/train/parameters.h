// What training changes: named tensors in F32 with their gradients, in one block of memory each, so
// that optimizers, clipping and checkpoints see one list.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "model/buffer.h"

namespace hadal::train {

struct Parameter {
  std::string name;  // as Hugging Face checkpoints name it
  std::vector<int64_t> shape;
  bool has_gradient = true;  // not so for the router's correction bias, which a rule moves
  float* value = nullptr;
  float* gradient = nullptr;

  int64_t size() const {
    int64_t n = 1;
    for (const int64_t d : shape) n *= d;
    return n;
  }
};

class Parameters {
 public:
  // The address of the parameter stays valid; value and gradient are null until allocate().
  Parameter& add(std::string name, std::vector<int64_t> shape, bool has_gradient = true);
  // Zeroes everything. Called once, after the last add().
  void allocate();

  std::deque<Parameter>& list() { return list_; }
  const std::deque<Parameter>& list() const { return list_; }
  Parameter* find(std::string_view name);
  int64_t size() const { return size_; }  // of all, in elements
  void zero_gradients();

 private:
  std::deque<Parameter> list_;
  int64_t size_ = 0, gradient_size_ = 0;
  model::Buffer values_, gradients_;
};

}  // namespace hadal::train
