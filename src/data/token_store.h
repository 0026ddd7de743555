// Tokenised documents on disk: a header, the ids of all documents one after another, where each
// begins and, for dialogues, which tokens are to be learnt. Mapped, so opening costs one reading.
//
// Little endian: 80 bytes of header (token_store.cc); ids as u16, or u32 if the vocabulary needs
// it, filled up to 8 bytes; document beginnings and the end, u64; then, if marked, one bit a token,
// lowest first. The header holds hashes (XXH3) of itself and of all that follows.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"

namespace hadal::data {

// What the ids mean.
struct Vocabulary {
  int32_t size = 0;             // every id is smaller
  int32_t bos_id = -1;          // -1: none
  uint64_t tokenizer_hash = 0;  // of tokenizer.json: stores to be mixed must agree
};

class TokenStore {
 public:
  // Reads and checks the whole file. Throws Error(file | format) naming path and fault.
  explicit TokenStore(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const Vocabulary& vocabulary() const { return vocabulary_; }
  int64_t tokens() const { return tokens_; }
  int64_t documents() const { return static_cast<int64_t>(begins_.size()) - 1; }
  uint64_t hash() const { return hash_; }  // of the content
  // First token of a document; of documents(): the end.
  int64_t begin(int64_t document) const {
    return static_cast<int64_t>(begins_[static_cast<size_t>(document)]);
  }
  int32_t token(int64_t at) const {
    const auto i = static_cast<size_t>(at);
    return narrow_.empty() ? static_cast<int32_t>(wide_[i]) : narrow_[i];
  }
  // Whether a token is to be predicted: false for what a user says in a dialogue.
  bool learnt(int64_t at) const {
    const auto i = static_cast<size_t>(at);
    return marks_.empty() || ((marks_[i / 8] >> (i % 8)) & 1) != 0;
  }
  bool marked() const { return !marks_.empty(); }

 private:
  MappedFile file_;
  Vocabulary vocabulary_;
  int64_t tokens_ = 0;
  uint64_t hash_ = 0;
  std::span<const uint16_t> narrow_;  // one of the two
  std::span<const uint32_t> wide_;
  std::span<const uint64_t> begins_;
  std::span<const uint8_t> marks_;
};

// Collects documents in memory and writes them at the end.
class TokenStoreWriter {
 public:
  explicit TokenStoreWriter(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  // One document. learnt: one flag a token, or empty if all are. Empty documents are left out.
  // Ids must be in the vocabulary.
  void add(std::span<const int32_t> ids, std::span<const uint8_t> learnt = {});
  int64_t tokens() const { return tokens_; }
  int64_t documents() const { return static_cast<int64_t>(begins_.size()) - 1; }
  // Writes the file, which appears whole or not at all. Throws Error(file | usage).
  void write(const std::string& path, bool replace);

 private:
  bool wide() const { return vocabulary_.size > 65536; }

  Vocabulary vocabulary_;
  int64_t tokens_ = 0;
  std::vector<uint16_t> narrow_;
  std::vector<uint32_t> wide_;
  std::vector<uint64_t> begins_ = {0};
  std::vector<uint8_t> marks_;
  bool marked_ = false;
};

}  // namespace hadal::data
