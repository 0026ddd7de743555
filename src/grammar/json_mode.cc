#include "grammar/json_mode.h"

#include "grammar/gbnf.h"

namespace hadal::grammar {

// White space is bounded, or a small model could go on with it for ever. Digits are, too: 20 of
// them times 10^279 is a double.
const char json_rules[] = R"gbnf(
value  ::= object | list | string | number | "true" | "false" | "null"
object ::= "{" space (member ("," space member)*)? "}"
member ::= string space ":" space value space
list   ::= "[" space (value space ("," space value space)*)? "]"
string ::= "\"" ([^"\\\x00-\x1f] | "\\" (["\\/bfnrt] | "u" hex4))* "\""
char   ::= [^"\\\x00-\x1f] | "\\" (["\\/bfnrt] | "u" hex4)
hex4   ::= [0-9a-cA-CeEfF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2}
number ::= "-"? ("0" | [1-9] [0-9]{0,19}) ("." [0-9]{1,20})? exp?
exp    ::= [eE] [-+]? ("2" [0-7] [0-9] | [01]? [0-9]{1,2})
space  ::= "" | " " | "\n" [ \t]{0,64}
)gbnf";

Grammar json_object_grammar() {
  Grammar grammar = parse_gbnf(json_rules, "object");
  grammar.depth_max = 2 * json_depth_max;  // a list or object, and the member or value in it
  return grammar;
}

}  // namespace hadal::grammar
