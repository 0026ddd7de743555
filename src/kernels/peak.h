// How fast this machine's arithmetic can go at all: loops of nothing but the instruction that the
// kernels live on, with enough independent chains to hide its latency. `hadal bench` and `hadal
// doctor` state speeds as shares of these.
#pragma once

#include <span>

#include <stdint.h>

namespace hadal::kernels {

struct PeakLoop {
  const char* name;                 // "AVX2 FP32 FMA"
  const char* instruction_set;      // "sse", "avx2", "avx512": what it needs
  bool integer;                     // int8 products; else FP32
  double operations_per_round;      // multiplications and additions counted apart
  uint32_t (*run)(int64_t rounds);  // returns something that depends on the arithmetic
};

// The loops that this processor can run.
std::span<const PeakLoop> peak_loops();

}  // namespace hadal::kernels
