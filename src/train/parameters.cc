#include "train/parameters.h"

#include <algorithm>

namespace hadal::train {
namespace {

// Every tensor starts on a cache line.
int64_t padded(int64_t size) {
  return (size + 15) / 16 * 16;
}

bool is_target(const Lora& lora, std::string_view name) {
  if (name.find(".self_attn.") != std::string_view::npos) return lora.attention;
  return lora.experts && name.find(".mlp.") != std::string_view::npos &&
         !name.ends_with(".mlp.gate.weight");
}

}  // namespace

Parameter& Parameters::add(std::string name, std::vector<int64_t> shape, bool has_gradient) {
  Parameter& p = list_.emplace_back();
  p.name = std::move(name);
  p.shape = std::move(shape);
  p.has_gradient = has_gradient && !lora_;
  if (lora_ && p.shape.size() == 2 && is_target(lora_, p.name)) add_adapters(p);
  return p;
}

void Parameters::add_adapters(Parameter& matrix) {
  const std::string stem = matrix.name.substr(0, matrix.name.rfind(".weight"));
  const auto add = [&](const char* suffix, int64_t rows, int64_t cols) {
    Parameter& p = list_.emplace_back();
    p.name = stem + suffix;
    p.shape = {rows, cols};
    p.is_adapter = true;
    return &p;
  };
  matrix.a = add(".lora_A.weight", lora_.rank, matrix.shape[1]);
  matrix.b = add(".lora_B.weight", matrix.shape[0], lora_.rank);
  matrix.scale = static_cast<float>(lora_.alpha / static_cast<double>(lora_.rank));
}

void Parameters::allocate() {
  int64_t values = 0;
  const auto is_frozen = [&](const Parameter& p) {
    return lora_ && p.shape.size() == 2 && !p.is_adapter;
  };
  for (const Parameter& p : list_) {
    if (!p.is_adapter) size_ += p.size();
    if (!is_frozen(p)) values += padded(p.size());
    if (p.has_gradient) gradient_size_ += padded(p.size());
  }
  float* value = values_.get(values);
  float* gradient = gradients_.get(gradient_size_);
  std::fill_n(value, values, 0.0f);
  for (Parameter& p : list_) {
    if (is_frozen(p)) continue;
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

std::span<float> Parameters::gradients() {
  return {gradients_.get(0), static_cast<size_t>(gradient_size_)};
}

}  // namespace hadal::train
