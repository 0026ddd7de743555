// safetensors files: a JSON header that names tensors, then their bytes. Nothing is copied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quant/type.h"

namespace hadal::format {

// The format's element types.
enum class Dtype : uint8_t {
  F64,
  F32,
  F16,
  BF16,
  F8_E4M3,
  F8_E5M2,
  F8_E8M0,
  I64,
  I32,
  I16,
  I8,
  U64,
  U32,
  U16,
  U8,
  BOOL
};
std::string_view dtype_name(Dtype dtype);
int64_t dtype_bytes(Dtype dtype);
// The weight format of this dtype, if Hadal computes with it.
std::optional<quant::Type> weight_type(Dtype dtype);

struct SafetensorsTensor {
  std::string name;
  Dtype dtype;
  std::vector<int64_t> shape;  // outermost first; empty for a scalar
  std::span<const std::byte> data;
};

// The tensors of a file in memory, in the order of their bytes; `source` is for messages. The
// views live as long as `bytes`. Throws Error(format) naming source and tensor: header longer than
// the file, no JSON, unknown dtype, sizes that overflow, exceed the file, overlap or contradict the
// shape, names that occur twice.
std::vector<SafetensorsTensor> parse_safetensors(std::span<const std::byte> bytes,
                                                 std::string_view source);

}  // namespace hadal::format
