// GBNF, the notation for grammars that llama.cpp introduced and its users write:
//
//   root  ::= "yes" | "no" (" because " [^\n]{1,80})?
//
// Rules `name ::= alternatives`; literals with \n \r \t \\ \" \xHH \uHHHH \UHHHHHHHH; character
// classes [a-z], [^"\\]; any character `.`; names, ( ), | and * + ? {n} {n,} {n,m}; # comments.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "grammar/grammar.h"

namespace hadal::grammar {

// Throws Error(usage) naming the line, or the rule that is missing or left-recursive; Error(limit)
// for grammars that are too large.
Grammar parse_gbnf(std::string_view text, std::string_view root = "root");

// The rules of a text as rules of a builder, by name. Throws as parse_gbnf.
using RuleNames = std::map<std::string, RuleId, std::less<>>;
RuleNames add_gbnf(GrammarBuilder& builder, std::string_view text);

}  // namespace hadal::grammar
