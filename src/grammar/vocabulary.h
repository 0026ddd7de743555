// A vocabulary as a trie over the bytes of its tokens: masks for a whole vocabulary are found by
// walking it once, and a subtree is left as soon as its first byte is impossible.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace hadal::grammar {

class Vocabulary {
 public:
  // size: rows of logits; ids from tokenizer.size() on are padding and never allowed. Special
  // tokens are not in the trie. The tokenizer must outlive the vocabulary.
  Vocabulary(const tokenizer::Tokenizer& tokenizer, int64_t size);

  struct Node {
    int32_t token;   // the first token whose bytes end here, or -1
    uint32_t end;    // the subtree are the nodes from here to there
    uint16_t depth;  // bytes from the root, 1 for the root's children
    uint8_t byte;
  };
  // In the order of a depth-first walk.
  std::span<const Node> nodes() const { return nodes_; }
  size_t depth_max() const { return depth_max_; }  // of a node
  // Tokens with the same bytes: (one, the next), so that a chain comes in order.
  std::span<const std::pair<int32_t, int32_t>> twins() const { return twins_; }

  // A mask of all that is no special token.
  const std::vector<uint64_t>& text() const { return text_; }

  int64_t size() const { return size_; }
  size_t words() const { return (static_cast<size_t>(size_) + 63) / 64; }  // of a mask
  const tokenizer::Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  const tokenizer::Tokenizer* tokenizer_;
  int64_t size_;
  std::vector<Node> nodes_;
  std::vector<std::pair<int32_t, int32_t>> twins_;
  std::vector<uint64_t> text_;
  size_t depth_max_ = 0;
};

}  // namespace hadal::grammar
