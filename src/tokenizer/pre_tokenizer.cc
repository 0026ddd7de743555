// The matchers. A matcher looks at a position and says how many bytes its expression matches there,
// 0 for none. Greedy parts with a tail condition are computed, not searched: backtracking would be
// quadratic on a long run.
#include "tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <array>

#include "tokenizer/pre_tokenizer_letters.h"
#include "tokenizer/unicode_class.h"

namespace hadal::tokenizer {
namespace {

// A position in a piece. Everything past `end` does not exist: expressions see single pieces.
class Text {
 public:
  Text(const char* begin, const char* end, const TraitTable& table)
      : p_(begin), end_(end), table_(&table) {}

  bool done() const { return p_ >= end_; }
  const char* position() const { return p_; }
  Glyph glyph() const { return read_glyph(p_, end_); }
  uint8_t traits() const {
    const auto byte = static_cast<unsigned char>(*p_);
    if (byte < 0x80) {
      return table_->ascii()[byte];
    }
    const Glyph g = glyph();
    return g.code == Glyph::kInvalid ? 0 : (*table_)[g.code];
  }
  bool has(uint8_t wanted) const { return !done() && (traits() & wanted) != 0; }
  bool is(char c) const { return !done() && *p_ == c; }
  void next() { p_ += static_cast<unsigned char>(*p_) < 0x80 ? 1 : glyph().length; }
  void skip(size_t bytes) { p_ += bytes; }
  // Skips characters with one of the traits.
  void skip_run(uint8_t wanted) {
    while (has(wanted)) {
      next();
    }
  }
  // Skips characters with none of the traits.
  void skip_run_without(uint8_t unwanted) {
    while (!done() && (traits() & unwanted) == 0) {
      next();
    }
  }

 private:
  const char* p_;
  const char* end_;
  const TraitTable* table_;
};

constexpr bool is_ascii_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

size_t length_from(const Text& start, const Text& end) {
  return static_cast<size_t>(end.position() - start.position());
}

// \s*[\r\n]+ | \s+(?!\S) | \s+ : a run of white space up to its last line break if it has one;
// else all but its last character if text follows, so that a word keeps the space before it.
size_t match_space(Text text, bool with_lines) {
  const Text start = text;
  Text last = text;       // the run's last character
  size_t after_line = 0;  // bytes up to and including the last line break
  size_t characters = 0;
  while (text.has(kSpace)) {
    const bool line = (text.traits() & kNewline) != 0;
    last = text;
    text.next();
    ++characters;
    if (line) {
      after_line = length_from(start, text);
    }
  }
  if (with_lines && after_line != 0) {
    return after_line;
  }
  return characters > 1 && !text.done() ? length_from(start, last) : length_from(start, text);
}

// 's|'t|'re|'ve|'m|'ll|'d ; ignoring case, the long s (U+017F) is an s too.
size_t match_contraction(const Text& text, bool ignore_case) {
  Text next = text;
  next.skip(1);
  if (!text.is('\'') || next.done()) {
    return 0;
  }
  const auto lower = [&](char c) {
    return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  const char first = lower(*next.position());
  if (first == 's' || first == 't' || first == 'm' || first == 'd') {
    return 2;
  }
  if (ignore_case && next.glyph().code == 0x17F) {
    return 3;
  }
  next.skip(1);
  if (next.done()) {
    return 0;
  }
  const char second = lower(*next.position());
  const bool found = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
                     (first == 'l' && second == 'l');
  return found ? 3 : 0;
}

// The third expression of deepseek-v3:
// [ASCII punctuation][A-Za-z]+ | [^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+ | ?[\p{P}\p{S}]+[\r\n]* |
// white space as above.
struct DeepseekV3Words {
  size_t operator()(const Text& start) const {
    Text text = start;
    const uint8_t traits = text.traits();
    const bool ascii = static_cast<unsigned char>(*text.position()) < 0x80;
    if (ascii && (traits & (kPunctuation | kSymbol)) != 0) {
      text.next();
      if (!text.done() && is_ascii_letter(*text.position())) {
        while (!text.done() && is_ascii_letter(*text.position())) {
          text.skip(1);
        }
        return length_from(start, text);
      }
      text = start;
    }
    if ((traits & (kLetter | kMark)) != 0) {
      text.skip_run(kLetter | kMark);
      return length_from(start, text);
    }
    if ((traits & (kNewline | kPunctuation | kSymbol)) == 0) {
      text.next();
      if (text.has(kLetter | kMark)) {
        text.skip_run(kLetter | kMark);
        return length_from(start, text);
      }
      text = start;
    }
    if (text.is(' ')) {
      text.skip(1);
    }
    if (text.has(kPunctuation | kSymbol)) {
      text.skip_run(kPunctuation | kSymbol);
      text.skip_run(kNewline);
      return length_from(start, text);
    }
    return (traits & kSpace) != 0 ? match_space(start, true) : 0;
  }
};

// qwen2 and llama3: contractions | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N}{1,digits} |
// ?[^\s\p{L}\p{N}]+[\r\n]* | white space.
template <int digits>
struct LlamaWords {
  size_t operator()(const Text& start) const {
    if (const size_t contraction = match_contraction(start, true)) {
      return contraction;
    }
    Text text = start;
    const uint8_t traits = text.traits();
    if ((traits & kLetter) != 0) {
      text.skip_run(kLetter);
      return length_from(start, text);
    }
    if ((traits & kNumber) != 0) {
      for (int i = 0; i < digits && text.has(kNumber); ++i) {
        text.next();
      }
      return length_from(start, text);
    }
    if ((traits & kNewline) == 0) {
      text.next();
      if (text.has(kLetter)) {
        text.skip_run(kLetter);
        return length_from(start, text);
      }
      text = start;
    }
    if (text.is(' ')) {
      text.skip(1);
    }
    if (!text.done() && (text.traits() & (kSpace | kLetter | kNumber)) == 0) {
      text.skip_run_without(kSpace | kLetter | kNumber);
      text.skip_run(kNewline);
      return length_from(start, text);
    }
    return match_space(start, true);
  }
};

// 's|'t|'re|'ve|'m|'ll|'d | ?\p{L}+ | ?\p{N}+ | ?[^\s\p{L}\p{N}]+ | \s+(?!\S) | \s+
struct Gpt2Words {
  size_t operator()(const Text& start) const {
    if (const size_t contraction = match_contraction(start, false)) {
      return contraction;
    }
    Text text = start;
    if (text.is(' ')) {
      text.skip(1);
    }
    if (text.has(kLetter)) {
      text.skip_run(kLetter);
    } else if (text.has(kNumber)) {
      text.skip_run(kNumber);
    } else if (!text.done() && (text.traits() & kSpace) == 0) {
      text.skip_run_without(kSpace | kLetter | kNumber);
    } else {
      return match_space(start, false);
    }
    return length_from(start, text);
  }
};

// \p{N}{1,most}
template <int most>
struct Digits {
  size_t operator()(const Text& start) const {
    Text text = start;
    for (int i = 0; i < most && text.has(kNumber); ++i) {
      text.next();
    }
    return length_from(start, text);
  }
};

// [\r\n]
struct Lines {
  size_t operator()(const Text& text) const { return text.has(kNewline) ? 1 : 0; }
};

// \s?\p{..}+
template <uint8_t traits>
struct SpacedRun {
  size_t operator()(const Text& start) const {
    Text text = start;
    if (text.has(kSpace)) {
      text.next();
    }
    if (!text.has(traits)) {
      return 0;
    }
    text.skip_run(traits);
    return length_from(start, text);
  }
};

template <typename Set>
bool in_set(const Text& text, const Set& set) {
  return !text.done() && contains(set, text.glyph().code);
}

// [..]+, after \s? if `spaced`. U+3000 is white space and in a set: it counts as either.
template <const auto& set, bool spaced>
struct SetRun {
  size_t operator()(const Text& start) const {
    Text text = start;
    if (spaced && text.has(kSpace)) {
      text.next();
      if (!in_set(text, set)) {
        text = start;
      }
    }
    while (in_set(text, set)) {
      text.next();
    }
    return length_from(start, text);
  }
};

// Cuts every piece, given by its end, into matches and the runs between them.
template <typename Match>
void cut(std::string_view text, const TraitTable& table, Match match, std::vector<size_t>& ends) {
  std::vector<size_t> out;
  out.reserve(ends.size() + ends.size() / 2);
  const char* base = text.data();
  size_t begin = 0;
  for (size_t end : ends) {
    Text at(base + begin, base + end, table);
    const Text start(base, base + end, table);
    bool gap = false;
    while (!at.done()) {
      const size_t matched = match(at);
      if (matched == 0) {
        gap = true;
        at.next();
        continue;
      }
      if (gap) {
        out.push_back(length_from(start, at));
        gap = false;
      }
      at.skip(matched);
      out.push_back(length_from(start, at));
    }
    if (gap) {
      out.push_back(end);
    }
    begin = end;
  }
  ends.swap(out);
}

// \s+$ : white space at the end of each piece becomes a piece. A matcher would look at every
// suffix of a long run.
void cut_trailing_space(std::string_view text, const TraitTable& table, std::vector<size_t>& ends) {
  std::vector<size_t> out;
  out.reserve(ends.size());
  const char* base = text.data();
  size_t begin = 0;
  for (size_t end : ends) {
    size_t space = begin;  // where the white space that reaches the end begins
    const Text start(base, base + end, table);
    for (Text at(base + begin, base + end, table); !at.done();) {
      const bool is_space = at.has(kSpace);
      at.next();
      if (!is_space) {
        space = length_from(start, at);
      }
    }
    if (space != begin && space != end) {
      out.push_back(space);
    }
    out.push_back(end);
    begin = end;
  }
  ends.swap(out);
}

}  // namespace

void split_pieces(PreTokenizer kind, std::string_view text, std::vector<size_t>& ends) {
  if (text.empty()) {
    return;
  }
  const TraitTable& table = TraitTable::get();
  std::vector<size_t> pieces = {text.size()};
  switch (kind) {
    case PreTokenizer::gpt2:
      cut(text, table, Gpt2Words{}, pieces);
      break;
    case PreTokenizer::smollm:
      cut(text, table, Digits<1>{}, pieces);
      cut(text, table, Gpt2Words{}, pieces);
      break;
    case PreTokenizer::llama3:
      cut(text, table, LlamaWords<3>{}, pieces);
      break;
    case PreTokenizer::qwen2:
      cut(text, table, LlamaWords<1>{}, pieces);
      break;
    case PreTokenizer::deepseek_llm:
      cut(text, table, Lines{}, pieces);
      cut(text, table, SetRun<kLlmLetters, true>{}, pieces);
      cut(text, table, SetRun<kLlmPunctuation, true>{}, pieces);
      cut_trailing_space(text, table, pieces);
      cut(text, table, SetRun<kLlmIdeographs, false>{}, pieces);
      cut(text, table, Digits<1>{}, pieces);
      break;
    case PreTokenizer::deepseek_coder:
      cut(text, table, Lines{}, pieces);
      cut(text, table, SpacedRun<kLetter>{}, pieces);
      cut(text, table, SpacedRun<kPunctuation>{}, pieces);
      cut(text, table, SetRun<kLlmIdeographs, false>{}, pieces);
      cut(text, table, Digits<1>{}, pieces);
      break;
    case PreTokenizer::deepseek_v3:
      cut(text, table, Digits<3>{}, pieces);
      cut(text, table, SetRun<kV3Ideographs, false>{}, pieces);
      cut(text, table, DeepseekV3Words{}, pieces);
      break;
  }
  ends.insert(ends.end(), pieces.begin(), pieces.end());
}

}  // namespace hadal::tokenizer
