// Learns a byte-level BPE vocabulary: the most frequent neighbours become one token, again and
// again. Deterministic: of pairs equally frequent, the one of smaller ids comes first.
//
// Text is cut by the pre-tokenizer "smollm": single digits, which no space joins, words with at
// most one space before them, contractions, punctuation, white space. So arithmetic is seen digit
// by digit (Nogueira et al. 2021; arXiv 2409.17391), and both Hugging Face and llama.cpp know it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace hadal::data {

// How often each piece of text occurs.
class PieceCounts {
 public:
  void add(std::string_view text);
  int64_t bytes() const { return bytes_; }
  // By text, ascending, which is what makes training deterministic.
  std::vector<std::pair<std::string_view, int64_t>> sorted() const;

 private:
  struct Hash {
    using is_transparent = void;  // NOLINT(readability-identifier-naming): the library asks for it
    size_t operator()(std::string_view text) const;
  };
  std::unordered_map<std::string, int64_t, Hash, std::equal_to<>> counts_;
  std::vector<size_t> ends_;
  int64_t bytes_ = 0;
};

// A merge of two tokens, by index: 0 to 255 are the bytes, then each new token in order.
struct Merge {
  int32_t left = 0, right = 0;
};

// Merges until there are `count` new tokens, of pairs that occur at least twice. Tokens longer than
// 32 bytes are not made: rules and rows of dots are no words.
std::vector<Merge> learn_merges(const PieceCounts& pieces, int32_t count);

// Special tokens of DeepSeek's dialogue forms, at the ids from 0 on; bytes and merges follow.
const std::vector<std::string>& special_tokens();

// The tokenizer as files that Hugging Face's library reads and Hadal too.
struct TokenizerText {
  std::string tokenizer_json;
  std::string config_json;  // with a template of V3.1's form that thinks unless told not to
  int32_t size = 0;
};
TokenizerText tokenizer_text(const std::vector<Merge>& merges, int64_t context);

}  // namespace hadal::data
