// JSON mode: any JSON object, spelt compactly or with blanks and line feeds where JSON allows them.
#pragma once

#include "grammar/grammar.h"

namespace hadal::grammar {

// Objects and lists within each other up to json_depth_max deep; numbers within the range of
// double; strings without halves of surrogate pairs: whatever it lets through, JSON parsers read.
inline constexpr int json_depth_max = 60;
Grammar json_object_grammar();

// Its rules in GBNF: value, object, list, string, char (of a string), number, space.
extern const char json_rules[];

}  // namespace hadal::grammar
