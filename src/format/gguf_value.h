// The values of GGUF keys.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "format/gguf_read.h"

namespace hadal::format {

// Bytes of a number or boolean.
uint64_t gguf_scalar_bytes(GgufType type);
bool is_integer(GgufType type);
bool is_real(GgufType type);

// Element i of a key (0 for one that is no array); the type must fit. Integers of 64 bits without
// sign that do not fit int64 become its largest.
int64_t gguf_integer(const GgufKey& key, uint64_t i);
double gguf_real(const GgufKey& key, uint64_t i);

}  // namespace hadal::format
