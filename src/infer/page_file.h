// The form of a page of the attention cache on disk. docs/engine.md ("On disk") has the reasons.
//
// A key names a page: SHA-256 over a chain that begins with the folder's secret, what decides the
// bits (model, precision, cache type, kernels, program) and the owner, and goes on with the tokens
// of each page up to this one. So a file that has the key is of the right model, owner and prefix,
// and who cannot read the secret learns nothing from a name.
//
// A file, little-endian: 8 bytes "HADALKV1", the key (32), the content's size (8), the content,
// XXH3-128 of all that (16).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hadal::infer {

using PageKey = std::array<std::byte, 32>;

struct PageKeyHash {
  size_t operator()(const PageKey& key) const {
    size_t hash = 0;  // the key is a hash: any part of it will do
    std::memcpy(&hash, key.data(), sizeof hash);
    return hash;
  }
};

// What the chain begins with.
PageKey root_page_key(std::span<const std::byte> secret, std::string_view fingerprint,
                      uint64_t owner);
// Of the page with these tokens behind the page (or the beginning) with key `parent`.
PageKey next_page_key(const PageKey& parent, std::span<const int32_t> tokens);

// 64 hexadecimal digits and ".kv".
std::string page_file_name(const PageKey& key);
// Nothing if it is no such name.
std::optional<PageKey> parse_page_file_name(std::string_view name);

constexpr int64_t page_file_overhead = 64;  // bytes beside the content

struct PageFileEnds {
  std::array<std::byte, 48> front;
  std::array<std::byte, 16> back;
};
// What stands around a content.
PageFileEnds page_file_ends(const PageKey& key, std::span<const std::byte> content);

// Throws Error(format) that says what is wrong with a file that should be the page `key`.
void check_page_file(std::span<const std::byte> file, const PageKey& key);
// The content of a file that was checked.
std::span<const std::byte> page_file_content(std::span<const std::byte> file);
// Both.
inline std::span<const std::byte> read_page_file(std::span<const std::byte> file,
                                                 const PageKey& key) {
  check_page_file(file, key);
  return page_file_content(file);
}

}  // namespace hadal::infer
