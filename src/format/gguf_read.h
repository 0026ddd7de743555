// GGUF containers, versions 2 and 3, little-endian: keys with values, then tensor infos, then
// aligned tensor data. Keys, strings and tensors are views of the file's bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "quant/type.h"

namespace hadal::format {

enum class GgufType : uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12
};
std::string_view gguf_type_name(GgufType type);

struct GgufKey {
  std::string_view name;
  GgufType type;
  GgufType element;  // of arrays
  uint64_t count;    // elements of arrays, else 1
  // The value as it lies in the file: a string with its length, an array's elements.
  std::span<const std::byte> bytes;
};

struct GgufTensor {
  std::string_view name;
  uint32_t type_id;
  std::optional<quant::Type> type;  // none: not a type that Hadal reads
  int rank;
  std::array<int64_t, 4> shape;     // outermost first (the file has it innermost first)
  std::span<const std::byte> data;  // empty if type is none
};

class Gguf {
 public:
  // Reads a whole file in memory; the views live as long as `bytes`. Throws Error(format) naming
  // source, and key or tensor: wrong magic or version, counts and lengths beyond the file, unknown
  // value types, names that occur twice, tensors that are misaligned, overlap, are no whole blocks
  // or lie beyond the end. Tensors of unknown type are listed; whoever needs them refuses them.
  Gguf(std::span<const std::byte> bytes, std::string source);

  uint32_t version() const { return version_; }
  const std::string& source() const { return source_; }
  const std::vector<GgufKey>& keys() const { return keys_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }

  bool has(std::string_view name) const { return index_.contains(name); }
  const GgufKey* find(std::string_view name) const;  // null if absent

  // Values by name, of any integer type for whole numbers, f32 or f64 or integer for reals. An
  // array of equal numbers counts as that number (per-layer values that do not vary). Throw
  // Error(format) naming source and key if absent (the first of each pair), of another type, out of
  // range or not finite.
  int64_t integer(std::string_view name) const;
  int64_t integer_or(std::string_view name, int64_t otherwise) const;
  double real(std::string_view name) const;
  double real_or(std::string_view name, double otherwise) const;
  bool boolean_or(std::string_view name, bool otherwise) const;
  std::string_view string_or(std::string_view name, std::string_view otherwise) const;
  // Empty if absent.
  std::vector<std::string_view> strings(std::string_view name) const;
  std::vector<int64_t> integers(std::string_view name) const;

 private:
  const GgufKey& require(std::string_view name) const;
  [[noreturn]] void wrong_type(const GgufKey& key, std::string_view expected) const;

  std::string source_;
  uint32_t version_ = 0;
  std::vector<GgufKey> keys_;
  std::vector<GgufTensor> tensors_;
  std::unordered_map<std::string_view, size_t> index_;  // of keys_
};

// A value as text for people, long ones cut: "qwen2", "[512 strings]".
std::string gguf_value_text(const GgufKey& key);

}  // namespace hadal::format
