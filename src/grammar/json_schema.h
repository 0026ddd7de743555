// JSON Schema as a grammar: the values that a schema allows, spelt as models spell JSON, compact or
// with blanks and line feeds where JSON allows them. docs/grammar.md lists the keywords and what is
// made of them.
#pragma once

#include <string_view>

#include "grammar/grammar.h"
#include "grammar/schema.h"

namespace hadal::grammar {

// Lists and objects within each other that are offered, where a schema refers to itself.
inline constexpr int schema_depth_max = 50;

// Throws SchemaError, whose message names the path in the schema; Error(limit) for schemas, or
// grammars of them, that are too large.
Grammar json_schema_grammar(std::string_view schema);

}  // namespace hadal::grammar
