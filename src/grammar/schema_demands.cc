// What can be read off demands: members and elements of several schemas together, whether a value
// is admitted, and whether the alternatives of oneOf can be told apart.
#include <algorithm>

#include "grammar/char_set.h"
#include "grammar/regex.h"
#include "grammar/schema.h"

namespace hadal::grammar {
namespace {

constexpr int apart_depth_max = 3;

void add(Conjunction& to, const Json* schema) {
  to.insert(std::lower_bound(to.begin(), to.end(), schema), schema);
  to.erase(std::unique(to.begin(), to.end()), to.end());
}

unsigned kind_of(const Json& value) {
  if (value.is_null()) return kind_null;
  if (value.is_boolean()) return kind_boolean;
  if (value.is_string()) return kind_string;
  if (value.is_array()) return kind_array;
  if (value.is_object()) return kind_object;
  const auto number = Decimal::read(value.dump());
  return number && !number->fraction.empty() ? kind_fraction : kind_integer;
}

int64_t length_of(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

}  // namespace

unsigned Demands::likely_kinds() const {
  if (kinds != kind_all || values) return kinds;
  unsigned likely = 0;
  if (!members.empty() || !required.empty() || members_min > 0 || members_max >= 0)
    likely |= kind_object;
  if (!items.empty() || items_min > 0 || items_max >= 0) likely |= kind_array;
  if (!patterns.empty() || length_min > 0 || length_max >= 0) likely |= kind_string;
  if (range.bounded() || !range.exponents) likely |= kind_integer | kind_fraction;
  return likely == 0 ? kinds : likely;
}

std::vector<std::pair<std::string, Conjunction>> Demands::properties() const {
  std::vector<std::pair<std::string, Conjunction>> out;
  std::set<std::string> seen;
  const auto put = [&](const std::string& name) {
    if (seen.insert(name).second) out.emplace_back(name, member(name));
  };
  for (const Members& m : members)
    if (m.properties != nullptr)
      for (const auto& item : m.properties->items()) put(item.key());
  for (const std::string& name : required) put(name);
  return out;
}

bool Demands::requires_member(const std::string& name) const {
  return std::find(required.begin(), required.end(), name) != required.end();
}

Conjunction Demands::member(const std::string& name) const {
  Conjunction out;
  for (const Members& m : members) {
    const Json* schema = m.additional;
    if (m.properties != nullptr)
      if (const auto found = m.properties->find(name); found != m.properties->end())
        schema = &*found;
    if (schema != nullptr) add(out, schema);
  }
  return out;
}

std::optional<Conjunction> Demands::other_members() const {
  Conjunction out;
  bool listed = false;
  for (const Members& m : members) {
    if (m.additional != nullptr) add(out, m.additional);
    listed = listed || m.properties != nullptr;
  }
  if (out.empty() && (listed || !required.empty())) return std::nullopt;
  return out;
}

Conjunction Demands::item(size_t index) const {
  Conjunction out;
  for (const Items& i : items) {
    const Json* schema = index < i.first.size() ? i.first[index] : i.rest;
    if (schema != nullptr) add(out, schema);
  }
  return out;
}

size_t Demands::items_first() const {
  size_t most = 0;
  for (const Items& i : items) most = std::max(most, i.first.size());
  return most;
}

bool Demands::has_other_items() const {
  const bool tuple = items_first() > 0 && std::none_of(items.begin(), items.end(),
                                                       [](auto& i) { return i.rest != nullptr; });
  return !tuple || items_min > static_cast<int64_t>(items_first());
}

bool Schema::admits(const Demands& demands, const Json& value) {
  const unsigned kind = kind_of(value);
  if ((demands.kinds & kind) == 0) return false;
  if (value.is_number()) {
    const auto number = Decimal::read(value.dump());
    return number ? demands.range.contains(*number) : !demands.range.bounded();
  }
  if (value.is_string()) {
    const auto text = value.get<std::string>();
    const int64_t length = length_of(text);
    if (length < demands.length_min || (demands.length_max >= 0 && length > demands.length_max))
      return false;
    return std::all_of(demands.patterns.begin(), demands.patterns.end(), [&](const auto& pattern) {
      const CharNfa nfa = parse_regex(pattern);
      spend(static_cast<int64_t>(nfa.states.size() * (text.size() + 1)) / 8);
      return nfa.matches(text);
    });
  }
  const bool speaks_of_parts =
      (kind == kind_array &&
       (!demands.items.empty() || demands.items_min > 0 || demands.items_max >= 0)) ||
      (kind == kind_object && (!demands.members.empty() || !demands.required.empty() ||
                               demands.members_min > 0 || demands.members_max >= 0));
  if (speaks_of_parts)
    throw SchemaError(demands.path,
                      "enum or const has arrays or objects: what else is said of them cannot be "
                      "enforced beside it");
  return true;
}

// A value of one alternative must not satisfy another.
void Schema::check_apart(const Json& list) {
  if (!apart_.insert(&list).second) return;
  for (size_t i = 0; i < list.size(); ++i)
    for (size_t k = 0; k < i; ++k)
      if (!excludes(Conjunction{&list[i]}, Conjunction{&list[k]}, 0) ||
          !excludes(Conjunction{&list[k]}, Conjunction{&list[i]}, 0))
        throw SchemaError(path(&list),
                          fmt::format("alternatives {} and {} cannot be told apart: use anyOf, or "
                                      "give both a required property with another const",
                                      k, i));
}

// Whether no value that is generated for a satisfies b, as far as can be told.
bool Schema::excludes(const Conjunction& a, const Conjunction& b, int depth) {
  const std::vector<Demands> ours = alternatives(a), theirs = alternatives(b);
  return std::all_of(ours.begin(), ours.end(), [&](const Demands& x) {
    return std::all_of(theirs.begin(), theirs.end(), [&](const Demands& y) {
      spend(4);
      return excludes(x, y, depth);
    });
  });
}

bool Schema::excludes(const Demands& a, const Demands& b, int depth) {
  if (a.values) {
    return std::all_of(a.values->begin(), a.values->end(), [&](const Json& value) {
      spend(b.values ? static_cast<int64_t>(b.values->size()) : 1);
      if (b.values && std::find(b.values->begin(), b.values->end(), value) == b.values->end())
        return true;
      return (b.kinds & kind_of(value)) == 0 || (!value.is_structured() && !admits(b, value));
    });
  }
  unsigned common = a.likely_kinds() & b.kinds;
  if (b.values) {
    unsigned theirs = 0;
    for (const Json& value : *b.values) theirs |= kind_of(value);
    common &= theirs;
  }
  if (common == 0) return true;
  if (common != kind_object || depth >= apart_depth_max) return false;
  const auto has = [](const Demands& d, const std::string& name) {
    return std::any_of(d.members.begin(), d.members.end(), [&](const Demands::Members& m) {
      return m.properties != nullptr && m.properties->contains(name);
    });
  };
  const bool a_is_closed = !a.other_members();
  for (const std::string& name : b.required)
    if (a_is_closed && !has(a, name) && !a.requires_member(name)) return true;
  return std::ranges::any_of(a.required, [&](const std::string& name) {
    return excludes(a.member(name), b.member(name), depth + 1);
  });
}

}  // namespace hadal::grammar
