// How models spelt their answers. A model need not choose the tokens that encode() would choose for
// the same text; when the answer comes back as part of the next prompt, other ids would mean that
// nothing of it is found in the prefix cache. So answers whose ids differ are remembered.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace hadal::server {

class Spellings {
 public:
  // bytes_max: of text and ids together; the ones used least recently go first.
  explicit Spellings(size_t bytes_max) : bytes_max_(bytes_max) {}

  // Remembers the runs of plain text in an answer's ids, as far as encode() would spell them
  // otherwise. Any thread, as all here.
  void learn(const tokenizer::Tokenizer& tokenizer, uint64_t owner,
             const std::vector<int32_t>& ids);
  // Only what the same owner was answered is found.
  std::optional<std::vector<int32_t>> find(uint64_t owner, std::string_view run);
  size_t bytes() const;

 private:
  struct Entry {
    std::string key;  // owner and text
    std::vector<int32_t> ids;
    size_t bytes() const { return 2 * key.size() + ids.size() * sizeof(int32_t) + 128; }
  };
  void keep(Entry entry);

  const size_t bytes_max_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // the one used last in front
  std::unordered_map<std::string_view, std::list<Entry>::iterator> by_key_;
  size_t bytes_ = 0;
};

}  // namespace hadal::server
