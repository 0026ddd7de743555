// Properties, decoding and encoding of the number formats. Block layouts: docs/formats.md and
// quant/blocks.h. Decoding is exact to the bit (goldens); encoding may search, any result decodes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "quant/type.h"

namespace hadal::quant {

struct TypeInfo {
  Type type;
  const char* name;       // as GGUF tools print it: "Q4_K"
  int64_t block_weights;  // weights in a block: 1, 32 or 256
  int64_t block_bytes;
};

// Info of a type, or nullptr if the id is not one of ours.
const TypeInfo* find_type(uint32_t id);
const TypeInfo& type_info(Type type);
// "q4_k", "Q4_K", "bf16" ... (case does not matter).
std::optional<Type> type_by_name(std::string_view name);
// What other tools call an id that Hadal does not read ("IQ2_XXS", "ik_llama.cpp's private
// Q4_K_R4"), or "" if nobody is known to use it.
std::string_view foreign_type_name(uint32_t id);

// Bytes of a row of n weights. n must be a multiple of block_weights.
size_t row_bytes(Type type, int64_t n);

// Decodes n weights (whole blocks). FP8 here decodes the codes alone, without tile scales.
void decode_row(Type type, const void* blocks, float* out, int64_t n);

// Encodes n finite floats (whole blocks). Can do every type of this enum but FP8_E4M3 and I32.
void encode_row(Type type, const float* x, void* blocks, int64_t n);

}  // namespace hadal::quant
