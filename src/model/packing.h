// The inputs of products in the packed form that some tables multiply many activations from.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/linear.h"

namespace hadal::model {

class Packing {
 public:
  // Packs, in parallel, the inputs of those products that gain by it; neighbours that share an
  // input share its packed form. Valid until the next call.
  void pack(const Context& context, std::span<const kernels::Matmul> products);
  // Product i's packed input, or null if it is to be multiplied as it is.
  const std::byte* input(size_t i) const {
    return of_[i] < 0 ? nullptr : data_ + inputs_[static_cast<size_t>(of_[i])].offset;
  }

 private:
  struct Packed {
    const kernels::Matmul* source;
    int64_t offset;       // bytes
    int64_t group_bytes;  // of sixteen rows
    int64_t first_group;  // in the line of all groups
  };
  static bool same_input(const kernels::Matmul& a, const kernels::Matmul& b);

  Buffer storage_;
  std::byte* data_ = nullptr;
  std::vector<Packed> inputs_;
  std::vector<int> of_;  // by product: index of its input, or -1
};

}  // namespace hadal::model
