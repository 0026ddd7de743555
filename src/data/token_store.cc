#include "data/token_store.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include <xxhash.h>

#include "base/error.h"
#include "base/output_file.h"

namespace hadal::data {
namespace {

constexpr std::array<char, 8> kMagic = {'H', 'A', 'D', 'A', 'L', 'T', 'O', 'K'};
constexpr uint32_t kVersion = 1;
constexpr uint32_t kMarked = 1;
constexpr uint64_t kTokensMax = uint64_t{1} << 40;

struct Header {
  std::array<char, 8> magic = kMagic;
  uint32_t version = kVersion;
  uint32_t flags = 0;
  uint32_t id_bytes = 2;
  int32_t vocabulary = 0;
  int32_t bos_id = -1;
  uint32_t reserved = 0;
  uint64_t tokens = 0;
  uint64_t documents = 0;
  uint64_t tokenizer_hash = 0;
  uint64_t content_hash = 0;  // of all behind the header
  uint64_t unused = 0;
  uint64_t header_hash = 0;  // of the bytes before
};
static_assert(sizeof(Header) == 80);

uint64_t hash_of(const Header& header) {
  return XXH3_64bits(&header, offsetof(Header, header_hash));
}

uint64_t padded(uint64_t bytes) {
  return (bytes + 7) / 8 * 8;
}

uint64_t mark_bytes(const Header& header) {
  return (header.flags & kMarked) != 0 ? (header.tokens + 7) / 8 : 0;
}

void check_header(const Header& header, const MappedFile& file) {
  const std::string& path = file.path();
  if (header.magic != kMagic) {
    fail(ErrorKind::format, "{} is no token store; 'hadal data pack' makes them from text", path);
  }
  if (header.version != kVersion) {
    fail(ErrorKind::unsupported,
         "{}: token store version {}, but this program reads {}: pack again", path, header.version,
         kVersion);
  }
  if (header.header_hash != hash_of(header)) {
    fail(ErrorKind::format, "{}: the header is damaged: pack again", path);
  }
  const bool fits = (header.id_bytes == 2 && header.vocabulary <= 65536) || header.id_bytes == 4;
  if (!fits || header.vocabulary < 1 || header.bos_id >= header.vocabulary || header.bos_id < -1 ||
      header.tokens > kTokensMax || header.documents > header.tokens) {
    fail(ErrorKind::format, "{}: the header contradicts itself: pack again", path);
  }
  const uint64_t expected = sizeof(Header) + padded(header.tokens * header.id_bytes) +
                            (header.documents + 1) * 8 + mark_bytes(header);
  if (file.bytes().size() != expected) {
    fail(ErrorKind::format, "{}: {} bytes, but the header announces {}: pack again", path,
         file.bytes().size(), expected);
  }
}

template <typename T>
std::span<const T> view(const std::byte* at, uint64_t count) {
  return {reinterpret_cast<const T*>(at), static_cast<size_t>(count)};
}

template <typename T>
void check_ids(std::span<const T> ids, int32_t vocabulary, const std::string& path) {
  const auto largest = std::max_element(ids.begin(), ids.end());
  if (largest != ids.end() && static_cast<uint64_t>(*largest) >= static_cast<uint64_t>(vocabulary))
    fail(ErrorKind::format, "{}: token {} of a vocabulary of {}: pack again", path, *largest,
         vocabulary);
}

}  // namespace

TokenStore::TokenStore(const std::string& path) : file_(path) {
  const std::span<const std::byte> bytes = file_.bytes();
  Header header;
  if (bytes.size() < sizeof(Header)) {
    fail(ErrorKind::format, "{} is no token store: only {} bytes", path, bytes.size());
  }
  std::memcpy(&header, bytes.data(), sizeof(Header));
  check_header(header, file_);
  const std::byte* at = bytes.data() + sizeof(Header);
  if (XXH3_64bits(at, bytes.size() - sizeof(Header)) != header.content_hash) {
    fail(ErrorKind::format, "{}: the content is damaged (its hash differs): pack again", path);
  }
  vocabulary_ = {header.vocabulary, header.bos_id, header.tokenizer_hash};
  tokens_ = static_cast<int64_t>(header.tokens);
  hash_ = header.content_hash;
  if (header.id_bytes == 2) {
    narrow_ = view<uint16_t>(at, header.tokens);
    check_ids(narrow_, header.vocabulary, path);
  } else {
    wide_ = view<uint32_t>(at, header.tokens);
    check_ids(wide_, header.vocabulary, path);
  }
  at += padded(header.tokens * header.id_bytes);
  begins_ = view<uint64_t>(at, header.documents + 1);
  at += (header.documents + 1) * 8;
  marks_ = view<uint8_t>(at, mark_bytes(header));
  const bool ascending =
      std::adjacent_find(begins_.begin(), begins_.end(), std::greater_equal<>()) == begins_.end();
  if (begins_.front() != 0 || begins_.back() != header.tokens || !ascending) {
    fail(ErrorKind::format, "{}: the documents' borders are out of order: pack again", path);
  }
}

void TokenStoreWriter::add(std::span<const int32_t> ids, std::span<const uint8_t> learnt) {
  if (ids.empty()) return;
  HADAL_CHECK(learnt.empty() || learnt.size() == ids.size(), "{} flags for {} tokens",
              learnt.size(), ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    HADAL_CHECK(ids[i] >= 0 && ids[i] < vocabulary_.size, "token {} of a vocabulary of {}", ids[i],
                vocabulary_.size);
    if (wide()) {
      wide_.push_back(static_cast<uint32_t>(ids[i]));
    } else {
      narrow_.push_back(static_cast<uint16_t>(ids[i]));
    }
    const bool is_learnt = learnt.empty() || learnt[i] != 0;
    marked_ = marked_ || !is_learnt;
    if (tokens_ % 8 == 0) marks_.push_back(0);
    if (is_learnt) marks_.back() |= static_cast<uint8_t>(1 << (tokens_ % 8));
    ++tokens_;
  }
  begins_.push_back(static_cast<uint64_t>(tokens_));
}

void TokenStoreWriter::write(const std::string& path, bool replace) {
  Header header;
  header.flags = marked_ ? kMarked : 0;
  header.id_bytes = wide() ? 4 : 2;
  header.vocabulary = vocabulary_.size;
  header.bos_id = vocabulary_.bos_id;
  header.tokens = static_cast<uint64_t>(tokens_);
  header.documents = static_cast<uint64_t>(documents());
  header.tokenizer_hash = vocabulary_.tokenizer_hash;
  const uint64_t id_bytes = header.tokens * header.id_bytes;
  const std::array<char, 8> zeros{};
  const std::array<std::span<const std::byte>, 4> parts = {
      wide() ? std::as_bytes(std::span(wide_)) : std::as_bytes(std::span(narrow_)),
      std::as_bytes(std::span(zeros)).first(padded(id_bytes) - id_bytes),
      std::as_bytes(std::span(begins_)),
      std::as_bytes(std::span(marks_)).first(marked_ ? marks_.size() : 0)};
  XXH3_state_t* state = XXH3_createState();
  XXH3_64bits_reset(state);
  for (const auto& part : parts) XXH3_64bits_update(state, part.data(), part.size());
  header.content_hash = XXH3_64bits_digest(state);
  XXH3_freeState(state);
  header.header_hash = hash_of(header);
  OutputFile file(path, replace);
  file.write(&header, sizeof(header));
  for (const auto& part : parts) file.write(part.data(), part.size());
  file.commit();
}

}  // namespace hadal::data
