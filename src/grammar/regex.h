// Regular expressions, as JSON Schema's `pattern` has them, as automata over characters.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "grammar/char_set.h"

namespace hadal::grammar {

struct CharNfa {
  struct Edge {
    CharSet set;
    int32_t to;
  };
  struct State {
    std::vector<Edge> edges;
    std::vector<int32_t> empties;
  };
  std::vector<State> states;
  int32_t start = 0, end = 0;

  bool matches(std::string_view text) const;  // as a whole; text is UTF-8
};

// ECMAScript's notation: literals, escapes (\d \w \s \n \xHH \uHHHH ...), classes, groups, | and
// * + ? {n,m}. As there, the pattern is searched for in the text unless ^ and $ fasten it, at the
// beginning and end of the whole or of an alternative of it. Throws Error(unsupported) for what no
// automaton can do here (looking ahead, references, \b), Error(usage) for what is no pattern,
// Error(limit) for what becomes too large.
CharNfa parse_regex(std::string_view pattern);

}  // namespace hadal::grammar
