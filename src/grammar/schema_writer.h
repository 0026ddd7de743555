// Writes what a schema demands as rules of a grammar.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/gbnf.h"
#include "grammar/grammar.h"
#include "grammar/regex.h"
#include "grammar/schema.h"

namespace hadal::grammar {

// How text is spelt: as a JSON string's characters, or as it is.
enum class Spelling { json, raw };

// What stands around an object's members.
struct MemberForm {
  std::function<StateId(StateId from)> separator;
  std::function<void(StateId from, const std::string& name, const Conjunction& value, StateId to)>
      named;
  std::function<void(StateId from, const Conjunction& value, StateId to)> other;  // names
};

// Limits of grammars that are made of schemas.
inline constexpr GrammarLimits schema_grammar_limits{200'000, 40'000, 1'000'000};

class SchemaWriter {
 public:
  // json: the rules of json_mode.h in this builder. All must outlive the writer. marker: a
  // character that would be taken for markup around the text, so it is not written as such.
  SchemaWriter(GrammarBuilder& builder, const RuleNames& json, Schema& schema,
               std::optional<uint32_t> marker = {})
      : builder_(builder), json_(json), schema_(schema), marker_(marker) {}

  // Edges that read a value. What they call is written by finish(). Throw as json_schema_grammar.
  void add_value(StateId from, const Conjunction& schemas, StateId to);
  void add_value(StateId from, const Demands& demands, StateId to);
  // A string without its quotes. The demands' values are no business of it.
  void add_text(StateId from, const Demands& demands, StateId to, Spelling spelling);
  void add_literal(StateId from, const Json& value, StateId to);
  // The members of an object, in the schema's order.
  void add_members(StateId from, const Demands& demands, const MemberForm& form, StateId to);
  void finish();

 private:
  using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;

  RuleId json(std::string_view name) const { return json_.find(name)->second; }
  StateId space(StateId from) { return builder_.call(from, json("space")); }
  StateId separator(StateId from) { return space(builder_.literal(from, ",")); }
  void add_number(StateId from, const Demands& demands, StateId to);
  void add_array(StateId from, const Demands& demands, StateId to);
  void add_object(StateId from, const Demands& demands, StateId to);
  void check_counts(const Demands& demands, size_t properties, bool others) const;
  // Of a member, behind its key.
  void add_member(StateId from, const Conjunction& schemas, StateId to);
  void add_other_key(StateId from, const std::vector<std::pair<std::string, Conjunction>>& known,
                     StateId to);
  void add_nfa(StateId from, const CharNfa& nfa, int64_t least, int64_t most, StateId to,
               Spelling spelling);
  void add_char(StateId from, const CharSet& set, StateId to, Spelling spelling);

  GrammarBuilder& builder_;
  const RuleNames& json_;
  Schema& schema_;
  const std::optional<uint32_t> marker_;
  std::map<Conjunction, RuleId> rules_;
  std::vector<std::pair<Conjunction, RuleId>> todo_;
  std::map<Ranges, RuleId> sets_;
};

// A string's characters as they stand between the quotes.
std::string json_spelling(std::string_view text);

}  // namespace hadal::grammar
