// Writes GGUF version 3, in one pass and without holding tensors: first all keys and the list of
// tensors, then the tensors' bytes in that order.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/output_file.h"
#include "format/gguf_read.h"
#include "quant/type.h"

namespace hadal::format {

// The keys of a file to be, in order. Adding a key again replaces its value in place.
class GgufKeys {
 public:
  void add_u32(std::string_view key, uint32_t value);
  void add_f32(std::string_view key, float value);
  void add_bool(std::string_view key, bool value);
  void add_string(std::string_view key, std::string_view value);
  void add_strings(std::string_view key, std::span<const std::string_view> values);
  void add_i32s(std::string_view key, std::span<const int32_t> values);
  // The value's bytes as a GGUF file holds them behind the type id (an array: element type, count,
  // elements).
  void add_raw(std::string_view key, GgufType type, std::string bytes);
  void remove(std::string_view key);
  bool has(std::string_view key) const;

  size_t size() const { return keys_.size(); }
  std::string encode() const;

 private:
  struct Key {
    std::string name;
    GgufType type;
    std::string bytes;
  };
  std::vector<Key> keys_;
};

class GgufWriter {
 public:
  // Throws as OutputFile does.
  GgufWriter(const std::string& path, bool replace) : file_(path, replace) {}

  GgufKeys& keys() { return keys_; }
  // shape: outermost first, 1 to 4 extents; the innermost a multiple of the type's block.
  void add_tensor(std::string_view name, quant::Type type, std::span<const int64_t> shape);
  // The file's size when all is written. Keys and tensors must all be added.
  uint64_t total_bytes() const;

  // Appends bytes of the tensors, in the order in which they were added; pieces may end anywhere.
  // After the first call keys and tensors are fixed. Throws Error(file).
  void write(const void* data, size_t bytes);
  // Completes the file, which then appears. All tensors must have been written.
  void finish();

 private:
  struct TensorInfo {
    std::string name;
    quant::Type type;
    std::vector<int64_t> shape;
    uint64_t bytes;
  };
  std::string encode_header() const;
  void pad();

  OutputFile file_;
  GgufKeys keys_;
  std::vector<TensorInfo> tensors_;
  bool begun_ = false;
  size_t current_ = 0;         // tensor that is being written
  uint64_t current_done_ = 0;  // its bytes so far
};

}  // namespace hadal::format
