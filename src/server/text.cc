#include "server/text.h"

#include <array>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/error.h"
#include "tokenizer/stream_markup.h"
#include "tokenizer/tools.h"

namespace hadal::server {

std::string valid_utf8(std::string_view text) {
  tokenizer::Utf8Buffer buffer;
  std::string out;
  buffer.push(text, out);
  buffer.flush(out);
  return out;
}

std::string json_text(std::string_view text) {
  return tokenizer::json_quoted(valid_utf8(text));
}

std::string sse_data(std::string_view json) {
  std::string out = "data: ";
  out.append(json).append("\n\n");
  return out;
}

std::string sse_event(std::string_view name, std::string_view json) {
  std::string out = "event: ";
  out.append(name).append("\ndata: ").append(json).append("\n\n");
  return out;
}

std::string lower_hex(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}

std::string random_hex(size_t bytes) {
  std::string raw(bytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(raw.data()), static_cast<int>(bytes)) != 1)
    fail(ErrorKind::file, "the system gives no random bytes");
  return lower_hex(raw);
}

std::string sha256_hex(std::string_view bytes) {
  std::array<unsigned char, 32> digest;
  unsigned int size = 0;
  HADAL_CHECK(
      EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) == 1,
      "SHA-256 failed");
  return lower_hex({reinterpret_cast<const char*>(digest.data()), size});
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace hadal::server
