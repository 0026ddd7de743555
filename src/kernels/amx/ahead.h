// Fetches weights into the second-level cache while arithmetic runs, evenly: a burst would fill the
// line buffers, and the tiles' loads would wait behind it.
#pragma once

#include <stdint.h>

#include "kernels/avx512/simd.h"

namespace hadal::kernels::HADAL_WIDE::amx {

class Ahead {
 public:
  // Bytes [begin, end), spread over that many calls of step().
  void set(const uint8_t* begin, const uint8_t* end, int64_t steps) {
    at_ = begin;
    end_ = end;
    due_ = 0;
    per_step_ = ((end - begin) << shift) / (steps > 0 ? steps : 1) + 1;
  }
  __attribute__((always_inline)) inline void step(int64_t steps) {
    due_ += steps * per_step_;
    for (; due_ > 0 && at_ < end_; at_ += line, due_ -= line << shift) {
      __builtin_prefetch(at_, 0, 2);
    }
  }

 private:
  static constexpr int64_t line = 64, shift = 8;
  const uint8_t* at_ = nullptr;
  const uint8_t* end_ = nullptr;
  int64_t due_ = 0;       // bytes << shift
  int64_t per_step_ = 0;  // bytes << shift
};

}  // namespace hadal::kernels::HADAL_WIDE::amx
