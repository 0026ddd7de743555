#include "tokenizer/added_tokens.h"

namespace hadal::tokenizer {
namespace {

uint64_t edge(uint32_t node, char byte) {
  return static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(byte);
}

}  // namespace

bool AddedTokens::add(std::string_view spelling, int32_t id) {
  if (spelling.empty()) {
    return false;
  }
  starts_[static_cast<unsigned char>(spelling[0])] = true;
  uint32_t node = 0;
  for (char byte : spelling) {
    const auto [at, created] = children_.try_emplace(edge(node, byte), next_node_);
    next_node_ += created ? 1 : 0;
    node = at->second;
  }
  return ids_.emplace(node, id).second;
}

uint32_t AddedTokens::child(uint32_t node, char byte) const {
  const auto found = children_.find(edge(node, byte));
  return found == children_.end() ? 0 : found->second;
}

AddedTokens::Match AddedTokens::find(std::string_view text, size_t from) const {
  for (size_t start = from; start < text.size(); ++start) {
    if (!starts_[static_cast<unsigned char>(text[start])]) {
      continue;
    }
    Match match;
    uint32_t node = 0;
    for (size_t at = start; at < text.size(); ++at) {
      node = child(node, text[at]);
      if (node == 0) {
        break;
      }
      const auto id = ids_.find(node);
      if (id != ids_.end()) {
        match = {start, at + 1 - start, id->second};
      }
    }
    if (match.id >= 0) {
      return match;
    }
  }
  return {};
}

int32_t AddedTokens::find_exact(std::string_view spelling) const {
  const Match match = find(spelling, 0);
  return match.position == 0 && match.length == spelling.size() ? match.id : -1;
}

}  // namespace hadal::tokenizer
