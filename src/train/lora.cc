#include "train/lora.h"

#include <algorithm>
#include <cmath>

#include <xxhash.h>

#include "base/random.h"
#include "kernels/kernels.h"

namespace hadal::train {

void read_row(const Parameter& matrix, int64_t row, float* out) {
  const int64_t cols = matrix.shape[1];
  if (matrix.value != nullptr) {
    std::copy_n(matrix.value + row * cols, cols, out);
    return;
  }
  const kernels::Table& kernels = kernels::active();
  kernels.decode_row(&matrix.frozen, row, out);
  if (matrix.a == nullptr) return;
  const int64_t rank = matrix.a->shape[0];
  for (int64_t i = 0; i < rank; ++i)
    kernels.add_scaled(matrix.scale * matrix.b->value[row * rank + i], matrix.a->value + i * cols,
                       cols, out);
}

void initialise_adapters(Parameters& parameters, uint64_t seed) {
  for (Parameter& matrix : parameters.list()) {
    if (matrix.a == nullptr) continue;
    Parameter& a = *matrix.a;
    const float deviation = 1.0f / std::sqrt(3.0f * static_cast<float>(a.shape[1]));
    const uint64_t stream = XXH3_64bits(a.name.data(), a.name.size());
    for (int64_t i = 0; i < a.size(); ++i)
      a.value[i] = deviation * random_normal(seed, stream, static_cast<uint64_t>(i));
    std::fill_n(matrix.b->value, matrix.b->size(), 0.0f);
  }
}

uint64_t frozen_hash(const Parameters& parameters) {
  if (!parameters.lora()) return 0;
  uint64_t hash = 0;
  const auto add = [&hash](const void* data, int64_t bytes) {
    hash = XXH3_64bits_withSeed(data, static_cast<size_t>(bytes), hash);
  };
  for (const Parameter& p : parameters.list()) {
    if (p.is_adapter) continue;
    if (p.value != nullptr)
      add(p.value, p.size() * static_cast<int64_t>(sizeof(float)));
    else
      add(p.frozen.data, p.frozen.rows * p.frozen.row_bytes);
  }
  return hash;
}

}  // namespace hadal::train
