// A text file's bytes in pieces, unpacked on the way if its name ends in .zst.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace hadal::data {

class PackedText {
 public:
  // `name` is for messages and tells by its end whether the bytes are packed; they must outlive
  // this. Throws Error(limit) if there is no memory for a decoder.
  PackedText(std::span<const std::byte> bytes, const std::string& name);
  ~PackedText();

  // The next piece, valid until the next call; empty at the end. Throws Error(format) if packed
  // bytes are damaged or cut off.
  std::string_view next();
  uint64_t bytes_read() const;  // of the file, packed

 private:
  struct Decoder;
  std::span<const std::byte> bytes_;
  std::string name_;
  size_t at_ = 0;
  std::unique_ptr<Decoder> decoder_;  // none: plain
};

}  // namespace hadal::data
