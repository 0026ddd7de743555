#include "infer/page_file.h"

#include <algorithm>

#include <openssl/evp.h>
#include <xxhash.h>

#include "base/error.h"

namespace hadal::infer {
namespace {

constexpr std::string_view magic = "HADALKV1";
constexpr std::string_view extension = ".kv";
constexpr std::string_view digits = "0123456789abcdef";
constexpr size_t size_at = 40, front_bytes = 48;

PageKey sha256(std::string_view bytes) {
  PageKey digest;
  unsigned int size = 0;
  const int good =
      EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), &size,
                 EVP_sha256(), nullptr);
  HADAL_CHECK(good == 1 && size == digest.size(), "SHA-256 is not to be had");
  return digest;
}

void append(std::string& text, const void* data, size_t bytes) {
  text.append(static_cast<const char*>(data), bytes);
}

std::array<std::byte, 16> checksum(std::span<const std::byte> front,
                                   std::span<const std::byte> content) {
  const XXH128_hash_t seed = XXH3_128bits(front.data(), front.size());
  const XXH128_hash_t hash =
      XXH3_128bits_withSeed(content.data(), content.size(), seed.low64 ^ seed.high64);
  std::array<std::byte, 16> bytes;
  std::memcpy(bytes.data(), &hash.low64, 8);
  std::memcpy(bytes.data() + 8, &hash.high64, 8);
  return bytes;
}

}  // namespace

PageKey root_page_key(std::span<const std::byte> secret, std::string_view fingerprint,
                      uint64_t owner) {
  std::string text(magic);
  append(text, secret.data(), secret.size());
  append(text, &owner, sizeof owner);
  text += fingerprint;  // last: the only part whose length varies
  return sha256(text);
}

PageKey next_page_key(const PageKey& parent, std::span<const int32_t> tokens) {
  std::string text;
  append(text, parent.data(), parent.size());
  append(text, tokens.data(), tokens.size_bytes());
  return sha256(text);
}

std::string page_file_name(const PageKey& key) {
  std::string name;
  for (const std::byte byte : key) {
    name += digits[std::to_integer<size_t>(byte >> 4)];
    name += digits[std::to_integer<size_t>(byte & std::byte{15})];
  }
  return name.append(extension);
}

std::optional<PageKey> parse_page_file_name(std::string_view name) {
  PageKey key;
  if (name.size() != 2 * key.size() + extension.size() || !name.ends_with(extension))
    return std::nullopt;
  for (size_t i = 0; i < key.size(); ++i) {
    const size_t high = digits.find(name[2 * i]), low = digits.find(name[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    key[i] = static_cast<std::byte>(high << 4 | low);
  }
  return key;
}

PageFileEnds page_file_ends(const PageKey& key, std::span<const std::byte> content) {
  PageFileEnds ends;
  const uint64_t size = content.size();
  std::memcpy(ends.front.data(), magic.data(), magic.size());
  std::memcpy(ends.front.data() + magic.size(), key.data(), key.size());
  std::memcpy(ends.front.data() + size_at, &size, sizeof size);
  ends.back = checksum(ends.front, content);
  return ends;
}

std::span<const std::byte> page_file_content(std::span<const std::byte> file) {
  return file.subspan(front_bytes, file.size() - static_cast<size_t>(page_file_overhead));
}

void check_page_file(std::span<const std::byte> file, const PageKey& key) {
  if (file.size() < static_cast<size_t>(page_file_overhead))
    fail(ErrorKind::format, "it ends after {} bytes", file.size());
  if (std::memcmp(file.data(), magic.data(), magic.size()) != 0)
    fail(ErrorKind::format, "it is no page of this version");
  if (!std::equal(key.begin(), key.end(), file.begin() + magic.size()))
    fail(ErrorKind::format, "it is another page than its name says");
  uint64_t size = 0;
  std::memcpy(&size, file.data() + size_at, sizeof size);
  if (size != file.size() - static_cast<size_t>(page_file_overhead))
    fail(ErrorKind::format, "it says {} bytes and has {}", size,
         file.size() - static_cast<size_t>(page_file_overhead));
  const std::array<std::byte, 16> sum = checksum(file.first(front_bytes), page_file_content(file));
  if (!std::equal(sum.begin(), sum.end(), file.end() - 16))
    fail(ErrorKind::format, "its checksum does not fit its content");
}

}  // namespace hadal::infer
