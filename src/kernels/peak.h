// How fast this machine's arithmetic can go at all: loops of nothing but the instruction that the
// kernels live on, with enough independent chains to hide its latency. `hadal bench` and `hadal
// doctor` state speeds as shares of these.
#pragma once

#include <span>

#include <stdint.h>

namespace hadal::kernels {

// What is multiplied; BF16 pairs are summed in FP32, int8 ones in int32.
enum class Product : uint8_t { fp32, bf16, int8 };

struct PeakLoop {
  const char* name;             // "AVX2 FP32 FMA"
  const char* instruction_set;  // "sse", "avx2", "avx512", "amx": what it needs
  Product product;
  double operations_per_round;      // multiplications and additions counted apart
  uint32_t (*run)(int64_t rounds);  // returns something that depends on the arithmetic
};

// The loops that this processor can run.
std::span<const PeakLoop> peak_loops();

}  // namespace hadal::kernels
