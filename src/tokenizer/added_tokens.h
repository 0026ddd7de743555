// Added tokens spelt in text: a trie over their bytes finds the longest at a position.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>

namespace hadal::tokenizer {

class AddedTokens {
 public:
  // False if the spelling is there already, or empty.
  bool add(std::string_view spelling, int32_t id);
  bool empty() const { return next_node_ == 1; }

  struct Match {
    size_t position = std::string_view::npos;  // npos: none
    size_t length = 0;
    int32_t id = -1;
  };
  // The first match at or after `from`; of several there, the longest.
  Match find(std::string_view text, size_t from) const;
  // The id of exactly this spelling, or -1.
  int32_t find_exact(std::string_view spelling) const;

 private:
  // The node below `node` by `byte`, or 0: node 0 is the root, which is below nothing.
  uint32_t child(uint32_t node, char byte) const;

  std::unordered_map<uint64_t, uint32_t> children_;  // node << 8 | byte
  std::unordered_map<uint32_t, int32_t> ids_;        // by node
  std::array<bool, 256> starts_{};
  uint32_t next_node_ = 1;
};

}  // namespace hadal::tokenizer
