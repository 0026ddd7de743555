// Working memory that grows to what a step needs and is then reused: after warm-up a step allocates
// nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "base/error.h"

namespace hadal::model {

class Buffer {
 public:
  // At least `count` floats, aligned to a cache line. What was there before is lost if it grows.
  float* get(int64_t count) {
    if (count > count_) {
      const auto bytes = (static_cast<size_t>(count) * sizeof(float) + 63) / 64 * 64;
      data_.reset();
      data_.reset(static_cast<float*>(std::aligned_alloc(64, bytes)));
      if (data_ == nullptr) fail(ErrorKind::limit, "no memory for {} bytes of activations", bytes);
      count_ = count;
    }
    return data_.get();
  }
  std::byte* bytes(int64_t count) { return reinterpret_cast<std::byte*>(get((count + 3) / 4)); }

 private:
  struct Free {
    void operator()(float* data) const { std::free(data); }
  };
  std::unique_ptr<float, Free> data_;
  int64_t count_ = 0;
};

}  // namespace hadal::model
