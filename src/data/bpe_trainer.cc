#include "data/bpe_trainer.h"

#include <algorithm>
#include <array>
#include <queue>
#include <utility>

#include <xxhash.h>

#include "base/error.h"
#include "tokenizer/pre_tokenizer.h"

namespace hadal::data {
namespace {

constexpr size_t kTokenBytesMax = 32;
constexpr int64_t kCountMin = 2;

using Pair = uint64_t;
constexpr Pair pair_of(int32_t left, int32_t right) {
  return static_cast<Pair>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}
constexpr int32_t left_of(Pair pair) {
  return static_cast<int32_t>(pair >> 32);
}
constexpr int32_t right_of(Pair pair) {
  return static_cast<int32_t>(pair & 0xFFFFFFFF);
}

struct Word {
  std::vector<int32_t> symbols;
  int64_t count;
};

struct Candidate {
  int64_t count;
  Pair pair;
  bool operator<(const Candidate& other) const {  // the queue's top is the greatest
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

class Learner {
 public:
  explicit Learner(const PieceCounts& pieces) {
    for (int i = 0; i < 256; ++i) {
      tokens_.emplace_back(1, static_cast<char>(i));
      known_.emplace(tokens_.back(), i);
    }
    for (const auto& [text, count] : pieces.sorted()) {
      Word word{{}, count};
      for (const char c : text) word.symbols.push_back(static_cast<unsigned char>(c));
      if (word.symbols.size() < 2) continue;
      const auto index = static_cast<uint32_t>(words_.size());
      for (size_t i = 0; i + 1 < word.symbols.size(); ++i) {
        change(pair_of(word.symbols[i], word.symbols[i + 1]), count, index);
      }
      words_.push_back(std::move(word));
    }
    flush();
  }

  // The next merge, or nothing that occurs often enough.
  bool next(Merge& out) {
    while (!queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      const auto found = pairs_.find(best.pair);
      if (found == pairs_.end() || found->second.count != best.count) continue;  // outdated
      if (best.count < kCountMin) return false;
      const int32_t left = left_of(best.pair), right = right_of(best.pair);
      std::string text = tokens_[static_cast<size_t>(left)] + tokens_[static_cast<size_t>(right)];
      if (text.size() > kTokenBytesMax) continue;
      const auto [known, is_new] = known_.emplace(text, static_cast<int32_t>(tokens_.size()));
      if (is_new) tokens_.push_back(std::move(text));
      merge(best.pair, known->second);
      out = {left, right};
      return true;
    }
    return false;
  }
  size_t tokens() const { return tokens_.size(); }

 private:
  struct Entry {
    int64_t count = 0;
    std::vector<uint32_t> words;  // where it occurs, or did
  };

  void change(Pair pair, int64_t by, uint32_t word) {
    Entry& entry = pairs_[pair];
    entry.count += by;
    if (by > 0 && (entry.words.empty() || entry.words.back() != word)) entry.words.push_back(word);
    changed_.push_back(pair);
  }
  // Changed pairs into the queue, with their new counts.
  void flush() {
    std::sort(changed_.begin(), changed_.end());
    changed_.erase(std::unique(changed_.begin(), changed_.end()), changed_.end());
    for (const Pair pair : changed_) {
      const auto found = pairs_.find(pair);
      if (found->second.count > 0) {
        queue_.push({found->second.count, pair});
      } else {
        pairs_.erase(found);
      }
    }
    changed_.clear();
  }
  void merge(Pair pair, int32_t token) {
    std::vector<uint32_t> places = std::move(pairs_[pair].words);
    std::sort(places.begin(), places.end());
    places.erase(std::unique(places.begin(), places.end()), places.end());
    for (const uint32_t place : places) merge_word(place, pair, token);
    flush();
    pairs_.erase(pair);
  }
  void merge_word(uint32_t place, Pair pair, int32_t token) {
    Word& word = words_[place];
    std::vector<int32_t>& s = word.symbols;
    const int32_t left = left_of(pair), right = right_of(pair);
    bool found = false;
    for (size_t i = 0; i + 1 < s.size(); ++i) found = found || (s[i] == left && s[i + 1] == right);
    if (!found) return;
    for (size_t i = 0; i + 1 < s.size(); ++i) change(pair_of(s[i], s[i + 1]), -word.count, place);
    size_t to = 0;
    for (size_t i = 0; i < s.size(); ++to) {
      const bool is_pair = i + 1 < s.size() && s[i] == left && s[i + 1] == right;
      s[to] = is_pair ? token : s[i];
      i += is_pair ? 2 : 1;
    }
    s.resize(to);
    for (size_t i = 0; i + 1 < s.size(); ++i) change(pair_of(s[i], s[i + 1]), word.count, place);
  }

  std::vector<std::string> tokens_;
  std::unordered_map<std::string, int32_t> known_;
  std::vector<Word> words_;
  std::unordered_map<Pair, Entry> pairs_;
  std::priority_queue<Candidate> queue_;
  std::vector<Pair> changed_;
};

}  // namespace

size_t PieceCounts::Hash::operator()(std::string_view text) const {
  return XXH3_64bits(text.data(), text.size());
}

void PieceCounts::add(std::string_view text) {
  ends_.clear();
  tokenizer::split_pieces(tokenizer::PreTokenizer::smollm, text, ends_);
  size_t begin = 0;
  for (const size_t end : ends_) {
    const std::string_view piece = text.substr(begin, end - begin);
    begin = end;
    const auto found = counts_.find(piece);
    if (found != counts_.end()) {
      ++found->second;
    } else {
      counts_.emplace(piece, 1);
    }
  }
  bytes_ += static_cast<int64_t>(text.size());
}

std::vector<std::pair<std::string_view, int64_t>> PieceCounts::sorted() const {
  std::vector<std::pair<std::string_view, int64_t>> out;
  out.reserve(counts_.size());
  for (const auto& [text, count] : counts_) out.emplace_back(text, count);
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<Merge> learn_merges(const PieceCounts& pieces, int32_t count) {
  Learner learner(pieces);
  std::vector<Merge> merges;
  Merge merge;
  while (learner.tokens() < 256 + static_cast<size_t>(std::max(count, 0)) && learner.next(merge)) {
    merges.push_back(merge);
  }
  return merges;
}

}  // namespace hadal::data
