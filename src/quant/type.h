// Number formats of weights: the ids that GGUF files use, and DeepSeek's FP8. Plain declarations,
// so that kernels of any instruction set may include them.
#pragma once

#include <stdint.h>

namespace hadal::quant {

enum class Type : uint32_t {
  F32 = 0,
  F16 = 1,
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q2_K = 10,
  Q3_K = 11,
  Q4_K = 12,
  Q5_K = 13,
  Q6_K = 14,
  IQ4_NL = 20,
  IQ4_XS = 23,
  I32 = 26,
  BF16 = 30,
  MXFP4 = 39,
  FP8_E4M3 = 0x10000,  // not a GGUF type: safetensors only, scales beside it, one per 128x128 tile
};

}  // namespace hadal::quant
