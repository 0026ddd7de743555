#include "train/parameters.h"

#include <algorithm>

namespace hadal::train {
namespace {

// Every tensor starts on a cache line.
int64_t padded(int64_t size) {
  return (size + 15) / 16 * 16;
}

}  // namespace

Parameter& Parameters::add(std::string name, std::vector<int64_t> shape, bool has_gradient) {
  Parameter& p = list_.emplace_back();
  p.name = std::move(name);
  p.shape = std::move(shape);
  p.has_gradient = has_gradient;
  return p;
}

void Parameters::allocate() {
  int64_t values = 0;
  for (const Parameter& p : list_) {
    size_ += p.size();
    values += padded(p.size());
    if (p.has_gradient) gradient_size_ += padded(p.size());
  }
  float* value = values_.get(values);
  float* gradient = gradients_.get(gradient_size_);
  std::fill_n(value, values, 0.0f);
  for (Parameter& p : list_) {
    p.value = value;
    value += padded(p.size());
    if (!p.has_gradient) continue;
    p.gradient = gradient;
    gradient += padded(p.size());
  }
  zero_gradients();
}

Parameter* Parameters::find(std::string_view name) {
  for (Parameter& p : list_)
    if (p.name == name) return &p;
  return nullptr;
}

void Parameters::zero_gradients() {
  std::fill_n(gradients_.get(0), gradient_size_, 0.0f);
}

}  // namespace hadal::train
