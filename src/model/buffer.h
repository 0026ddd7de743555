// Working memory that grows to what a step needs and is then reused: after warm-up a step allocates
// nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include <sys/mman.h>

#include "base/error.h"

namespace hadal::model {

class Buffer {
 public:
  // At least `count` floats, aligned to a cache line. What was there before is lost if it grows.
  float* get(int64_t count) {
    if (count > count_) {
      const auto wanted = static_cast<size_t>(count) * sizeof(float);
      const size_t unit = wanted >= huge_min ? huge_page : 64;
      const size_t bytes = (wanted + unit - 1) / unit * unit;
      data_.reset();
      data_.reset(static_cast<float*>(std::aligned_alloc(unit, bytes)));
      if (data_ == nullptr) fail(ErrorKind::limit, "no memory for {} bytes of activations", bytes);
      if (unit == huge_page) ::madvise(data_.get(), bytes, MADV_HUGEPAGE);  // a wish
      count_ = count;
    }
    return data_.get();
  }
  std::byte* bytes(int64_t count) { return reinterpret_cast<std::byte*>(get((count + 3) / 4)); }

 private:
  // Large buffers ask for large pages: fewer faults and look-ups of addresses.
  static constexpr size_t huge_page = size_t{2} << 20, huge_min = size_t{4} << 20;

  struct Free {
    void operator()(float* data) const { std::free(data); }
  };
  std::unique_ptr<float, Free> data_;
  int64_t count_ = 0;
};

}  // namespace hadal::model
