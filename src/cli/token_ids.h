// Token ids in a safetensors file, for the commands that compare implementations.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hadal::cli {

struct TokenIds {
  std::vector<int64_t> values;  // [batch, T]
  int64_t batch = 1;
};

// The tensor input_ids, [B, T] or [T], I64 or I32. Throws Error(file | format).
TokenIds read_token_ids(const std::string& path);

}  // namespace hadal::cli
