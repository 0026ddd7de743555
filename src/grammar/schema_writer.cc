#include "grammar/schema_writer.h"

#include <algorithm>

#include <fmt/format.h>

namespace hadal::grammar {
namespace {

constexpr int integer_digits_max = 18;  // what 64 bits hold

bool must_be_escaped(uint32_t c) {
  return c < 0x20 || c == '"' || c == '\\';
}

std::string json_char(uint32_t c) {
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '\b':
      return "\\b";
    case '\f':
      return "\\f";
    default:
      return must_be_escaped(c) ? fmt::format("\\u{:04x}", c) : utf8_of(c);
  }
}

}  // namespace

std::string json_spelling(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const auto c = next_char(text, at);
    if (!c) break;  // schemas are UTF-8: the parser of JSON saw to it
    out += json_char(*c);
  }
  return out;
}

void SchemaWriter::finish() {
  while (!todo_.empty()) {
    const auto [schemas, rule] = todo_.back();
    todo_.pop_back();
    for (const Demands& demands : schema_.alternatives(schemas))
      add_value(builder_.start(rule), demands, builder_.end(rule));
  }
}

void SchemaWriter::add_value(StateId from, const Conjunction& schemas, StateId to) {
  if (schemas.empty()) return builder_.call(from, json("value"), to);
  auto found = rules_.find(schemas);
  if (found == rules_.end()) {
    const RuleId rule = builder_.add_rule(schema_.path(schemas.front()));
    found = rules_.emplace(schemas, rule).first;
    todo_.emplace_back(schemas, rule);
  }
  builder_.call(from, found->second, to);
}

void SchemaWriter::add_value(StateId from, const Demands& demands, StateId to) {
  if (demands.values) {
    for (const Json& value : *demands.values)
      if (schema_.admits(demands, value)) add_literal(from, value, to);
    return;
  }
  const unsigned kinds = demands.likely_kinds();
  if ((kinds & kind_null) != 0) builder_.empty(builder_.literal(from, "null"), to);
  if ((kinds & kind_boolean) != 0) {
    builder_.empty(builder_.literal(from, "true"), to);
    builder_.empty(builder_.literal(from, "false"), to);
  }
  if ((kinds & (kind_integer | kind_fraction)) != 0) add_number(from, demands, to);
  if ((kinds & kind_string) != 0) {
    const StateId last = builder_.add_state();
    add_text(builder_.literal(from, "\""), demands, last, Spelling::json);
    builder_.byte(last, '"', '"', to);
  }
  if ((kinds & kind_array) != 0) add_array(from, demands, to);
  if ((kinds & kind_object) != 0) add_object(from, demands, to);
}

void SchemaWriter::add_literal(StateId from, const Json& value, StateId to) {
  if (value.is_string()) {
    const auto text = value.get<std::string>();
    builder_.empty(builder_.literal(from, '"' + json_spelling(text) + '"'), to);
  } else if (!value.is_structured()) {
    builder_.empty(builder_.literal(from, value.dump()), to);
  } else {
    const bool is_object = value.is_object();
    StateId at = space(builder_.literal(from, is_object ? "{" : "["));
    bool first = true;
    for (const auto& item : value.items()) {
      if (!first) at = separator(at);
      first = false;
      if (is_object) {
        at = space(builder_.literal(at, '"' + json_spelling(item.key()) + '"'));
        at = space(builder_.literal(at, ":"));
      }
      const StateId behind = builder_.add_state();
      add_literal(at, item.value(), behind);
      at = space(behind);
    }
    builder_.empty(builder_.literal(at, is_object ? "}" : "]"), to);
  }
}

void SchemaWriter::add_number(StateId from, const Demands& demands, StateId to) {
  NumberRange range = demands.range;
  if ((demands.likely_kinds() & kind_fraction) == 0) {
    range.fraction_max = 0;
    range.digits_max = integer_digits_max;
  } else if (!range.bounded() && range.exponents) {
    return builder_.call(from, json("number"), to);
  }
  add_range(builder_, from, range, to);
}

void SchemaWriter::add_text(StateId from, const Demands& demands, StateId to, Spelling spelling) {
  if (demands.patterns.size() > 1)
    throw SchemaError(demands.path, "only one pattern or format of a string can be enforced");
  if (!demands.patterns.empty())
    return add_nfa(from, parse_regex(*demands.patterns.begin()), demands.length_min,
                   demands.length_max, to, spelling);
  RuleId character = json("char");
  if (spelling == Spelling::raw) {
    character = builder_.add_rule("character");
    add_char(builder_.start(character), CharSet::all(), builder_.end(character), spelling);
  }
  builder_.empty(builder_.repeat(from, character, demands.length_min, demands.length_max), to);
}

// Every state stands beside a count of the characters so far; where only a least number is asked
// for, counting stops there.
void SchemaWriter::add_nfa(StateId from, const CharNfa& nfa, int64_t least, int64_t most,
                           StateId to, Spelling spelling) {
  const bool bounded = most >= 0;
  const int64_t counts = bounded ? most : least;
  std::map<std::pair<int32_t, int64_t>, StateId> states;
  std::vector<std::pair<int32_t, int64_t>> todo;
  const auto reach = [&](int32_t state, int64_t count) {
    const auto [place, is_new] = states.try_emplace({state, count}, 0);
    if (is_new) {
      place->second = builder_.add_state();
      todo.emplace_back(state, count);
    }
    return place->second;
  };
  builder_.empty(from, reach(nfa.start, 0));
  while (!todo.empty()) {
    const auto [state, count] = todo.back();
    todo.pop_back();
    const StateId here = reach(state, count);
    if (state == nfa.end && count >= least) builder_.empty(here, to);
    const CharNfa::State& s = nfa.states[static_cast<size_t>(state)];
    for (const int32_t next : s.empties) builder_.empty(here, reach(next, count));
    if (bounded && count == most) continue;
    for (const CharNfa::Edge& edge : s.edges)
      add_char(here, edge.set, reach(edge.to, std::min(count + 1, counts)), spelling);
  }
}

void SchemaWriter::add_char(StateId from, const CharSet& set, StateId to, Spelling spelling) {
  CharSet plain = set;
  if (spelling == Spelling::json) {
    plain = set.intersection({{0x20, '!'}, {'#', '['}, {']', code_point_max}});
    for (const CharSet::Range& range : set.ranges())
      for (uint32_t c = range.low; c <= std::min<uint32_t>(range.high, '\\'); ++c)
        if (must_be_escaped(c)) builder_.empty(builder_.literal(from, json_char(c)), to);
  }
  if (marker_ && plain.contains(*marker_)) {
    plain = plain.intersection(CharSet{{*marker_, *marker_}}.complement());
    if (spelling == Spelling::json)
      builder_.empty(builder_.literal(from, fmt::format("\\u{:04x}", *marker_)), to);
  }
  if (plain.empty()) return;
  if (plain.ranges().back().high < 0x80) return add_chars(builder_, from, plain, to);
  Ranges key;
  for (const CharSet::Range& range : plain.ranges()) key.emplace_back(range.low, range.high);
  const auto [place, is_new] = sets_.try_emplace(key, 0);
  if (is_new) {
    place->second = builder_.add_rule("characters");
    add_chars(builder_, builder_.start(place->second), plain, builder_.end(place->second));
  }
  builder_.call(from, place->second, to);
}

void SchemaWriter::add_array(StateId from, const Demands& demands, StateId to) {
  const auto first = static_cast<int64_t>(demands.items_first());
  const bool others = demands.has_other_items();
  int64_t most = demands.items_max;
  if (!others) most = most < 0 ? first : std::min(most, first);
  StateId at = space(builder_.literal(from, "["));
  const StateId close = builder_.add_state();
  builder_.byte(close, ']', ']', to);
  int64_t count = 0;
  const auto may_close = [&](StateId state) {
    if (count >= demands.items_min) builder_.empty(state, close);
  };
  const auto element = [&](StateId state) {
    const StateId behind = builder_.add_state();
    add_value(state, demands.item(static_cast<size_t>(count)), behind);
    ++count;
    return space(behind);
  };
  may_close(at);
  if (most == 0) return;
  at = element(at);
  while (count < first && count != most) {
    may_close(at);
    at = element(separator(at));
  }
  if (count == most) return may_close(at);
  const RuleId more = builder_.add_rule("element");
  builder_.empty(element(separator(builder_.start(more))), builder_.end(more));
  --count;
  const int64_t least = std::max<int64_t>(demands.items_min - count, 0);
  builder_.empty(builder_.repeat(at, more, least, most < 0 ? -1 : most - count), close);
}

void SchemaWriter::check_counts(const Demands& demands, size_t properties, bool others) const {
  const auto needed = static_cast<int64_t>(std::max<size_t>(demands.required.size(), 1));
  if (demands.members_min > needed)
    throw SchemaError(demands.path + "/minProperties",
                      "more than 1 can only be enforced by required properties");
  const bool counted = demands.members_max >= 0 &&
                       (others || demands.members_max < static_cast<int64_t>(properties));
  if (counted && properties > 0)
    throw SchemaError(demands.path + "/maxProperties",
                      "it cannot be enforced where properties are named");
}

void SchemaWriter::add_member(StateId from, const Conjunction& schemas, StateId to) {
  const StateId value = space(builder_.literal(space(from), ":"));
  const StateId behind = builder_.add_state();
  add_value(value, schemas, behind);
  builder_.empty(space(behind), to);
}

// States come in pairs: before each property, without and with members in front of it.
void SchemaWriter::add_members(StateId none, const Demands& demands, const MemberForm& form,
                               StateId to) {
  const auto properties = demands.properties();
  const auto others = demands.other_members();
  check_counts(demands, properties.size(), others.has_value());
  StateId some = builder_.add_state();
  for (const auto& [name, schemas] : properties) {
    const StateId member = builder_.add_state(), next_some = builder_.add_state();
    builder_.empty(none, member);
    builder_.empty(form.separator(some), member);
    form.named(member, name, schemas, next_some);
    const StateId next_none = builder_.add_state();
    if (!demands.requires_member(name)) {
      builder_.empty(none, next_none);
      builder_.empty(some, next_some);
    }
    none = next_none;
    some = next_some;
  }
  if (others) {
    const RuleId other = builder_.add_rule("member"), more = builder_.add_rule("members");
    form.other(builder_.start(other), *others, builder_.end(other));
    builder_.call(form.separator(builder_.start(more)), other, builder_.end(more));
    const StateId last = builder_.add_state();
    if (demands.members_max != 0) {
      const int64_t rest = demands.members_max < 0 ? -1 : demands.members_max - 1;
      builder_.empty(builder_.repeat(builder_.call(none, other), more, 0, rest), last);
    }
    builder_.empty(builder_.repeat(some, more, 0, -1), last);
    some = last;
  }
  builder_.empty(some, to);
  if (demands.members_min == 0) builder_.empty(none, to);
}

void SchemaWriter::add_object(StateId from, const Demands& demands, StateId to) {
  MemberForm form;
  form.separator = [this](StateId at) { return separator(at); };
  form.named = [this](StateId at, const std::string& name, const Conjunction& value, StateId last) {
    add_member(builder_.literal(at, '"' + json_spelling(name) + '"'), value, last);
  };
  form.other = [&](StateId at, const Conjunction& value, StateId last) {
    const StateId key = builder_.add_state();
    add_other_key(at, demands.properties(), key);
    add_member(key, value, last);
  };
  const StateId close = builder_.add_state();
  add_members(space(builder_.literal(from, "{")), demands, form, close);
  builder_.byte(close, '}', '}', to);
}

// Any key that is none of those: the tree of their characters, which is left by any other one.
void SchemaWriter::add_other_key(StateId from,
                                 const std::vector<std::pair<std::string, Conjunction>>& known,
                                 StateId to) {
  struct Node {
    std::map<uint32_t, size_t> next;
    bool is_key = false;
    StateId state;
  };
  std::vector<Node> nodes = {{{}, false, builder_.literal(from, "\"")}};
  for (const auto& [name, schemas] : known) {
    size_t node = 0;
    for (size_t at = 0; at < name.size();) {
      const auto c = next_char(name, at);
      if (!c) break;
      const auto [place, is_new] = nodes[node].next.try_emplace(*c, nodes.size());
      node = place->second;
      if (is_new) nodes.push_back({{}, false, builder_.add_state()});
    }
    nodes[node].is_key = true;
  }
  const StateId free = builder_.add_state();
  add_char(free, CharSet::all(), free, Spelling::json);
  builder_.byte(free, '"', '"', to);
  for (const Node& node : nodes) {
    CharSet taken;
    for (const auto& [c, next] : node.next) {
      taken.add(c, c);
      add_char(node.state, {{c, c}}, nodes[next].state, Spelling::json);
    }
    add_char(node.state, taken.complement(), free, Spelling::json);
    if (!node.is_key) builder_.byte(node.state, '"', '"', to);
  }
}

}  // namespace hadal::grammar
