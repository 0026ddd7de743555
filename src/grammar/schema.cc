#include "grammar/schema.h"

#include <algorithm>
#include <array>

#include "grammar/regex.h"
#include "grammar/schema_formats.h"

namespace hadal::grammar {
namespace {

constexpr size_t text_bytes_max = size_t{512} << 10;
constexpr int json_nesting_max = 100;
constexpr int64_t steps_max = 2'000'000;
constexpr int depth_max = 100;     // references and combinations without an element or member
constexpr int branches_max = 100;  // lists of alternatives that one value has to satisfy
constexpr int64_t count_max = int64_t{1} << 40;

// Keywords that say something about a schema, but nothing about values.
constexpr std::array annotations = {
    "$schema",  "$id",       "$comment", "$defs",           "definitions",      "$anchor",
    "title",    "examples",  "example",  "description",     "default",          "deprecated",
    "readOnly", "writeOnly", "nullable", "contentEncoding", "contentMediaType", "discriminator",
    "then",     "else"};

Json parse(std::string_view text) {
  if (text.size() > text_bytes_max)
    fail(ErrorKind::limit, "the schema has {} bytes, at most {} are allowed", text.size(),
         text_bytes_max);
  const auto guard = [](int depth, Json::parse_event_t, Json&) {
    if (depth > json_nesting_max)
      fail(ErrorKind::limit, "the schema is nested deeper than {} levels", json_nesting_max);
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), guard);
  } catch (const Json::exception& error) {
    throw SchemaError("#", error.what());
  }
}

std::string escaped(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

unsigned kind_of_name(const std::string& name) {
  static const std::map<std::string, unsigned> kinds = {
      {"null", kind_null},       {"boolean", kind_boolean},
      {"integer", kind_integer}, {"number", kind_integer | kind_fraction},
      {"string", kind_string},   {"array", kind_array},
      {"object", kind_object}};
  const auto found = kinds.find(name);
  return found != kinds.end() ? found->second : 0;
}

}  // namespace

Schema::Schema(std::string_view text) : json_(parse(text)), steps_left_(steps_max) {
  note_schema(json_, "#");
}

void Schema::spend(int64_t steps) {
  steps_left_ -= steps;
  if (steps_left_ < 0)
    fail(ErrorKind::limit, "the schema is too complicated: fewer alternatives or properties?");
}

std::string Schema::path(const Json* schema) const {
  const auto found = paths_.find(schema);
  return found != paths_.end() ? found->second : "#";
}

const Json* Schema::note(const Json& child, const std::string& path) {
  paths_.try_emplace(&child, path);
  return &child;
}

const Json* Schema::note_schema(const Json& child, const std::string& path) {
  if (!child.is_object() && !child.is_boolean())
    throw SchemaError(path, "a schema is an object, true or false");
  return note(child, path);
}

void Schema::complain(const Json& schema, const std::string& key,
                      const std::string& message) const {
  throw SchemaError(path(&schema) + "/" + escaped(key), message);
}

std::vector<Demands> Schema::alternatives(const Conjunction& schemas) {
  Entries entries;
  for (const Json* schema : schemas) entries.push_back({schema, 0});
  Demands demands;
  if (!schemas.empty()) demands.path = path(schemas.front());
  std::vector<Demands> out;
  flatten(std::move(entries), {}, std::move(demands), out);
  return out;
}

// Takes up the entries one by one, which may bring others; then goes on with each alternative of
// the first list of them.
void Schema::flatten(Entries entries, Entries lists, Demands demands, std::vector<Demands>& out) {
  while (!entries.empty()) {
    const Entry entry = entries.back();
    entries.pop_back();
    spend(8);
    if (entry.depth > depth_max)
      throw SchemaError(path(entry.schema),
                        "it refers to itself, or too often to others, without "
                        "an element or property in between");
    if (entry.schema->is_boolean()) {
      if (!entry.schema->get<bool>()) return;
      continue;
    }
    for (const auto& [key, value] : entry.schema->items()) {
      spend(1);
      apply(*entry.schema, key, value, entry.depth, entries, lists, demands);
    }
    if (demands.kinds == 0) return;
  }
  if (lists.empty()) {
    spend(static_cast<int64_t>(demands.members.size() + demands.required.size()));
    out.push_back(std::move(demands));
    return;
  }
  if (lists.size() > branches_max)
    throw SchemaError(path(lists.back().schema), "too many lists of alternatives at once");
  const Entry list = lists.back();
  lists.pop_back();
  for (const Json& alternative : *list.schema) {
    if (demands.values) spend(static_cast<int64_t>(demands.values->size()));
    flatten({{&alternative, list.depth + 1}}, lists, demands, out);
  }
}

void Schema::apply(const Json& schema, const std::string& key, const Json& value, int depth,
                   Entries& entries, Entries& lists, Demands& demands) {
  const std::string at = path(&schema) + "/" + escaped(key);
  if (key == "$ref") {
    if (!value.is_string()) complain(schema, key, "a reference is a string");
    entries.push_back({resolve(schema, value.get<std::string>()), depth + 1});
  } else if (key == "allOf" || key == "anyOf" || key == "oneOf") {
    if (!value.is_array() || value.empty())
      complain(schema, key, "an array of one or more schemas is expected");
    for (size_t i = 0; i < value.size(); ++i) note_schema(value[i], at + "/" + std::to_string(i));
    note(value, at);
    if (key == "allOf")
      for (const Json& part : value) entries.push_back({&part, depth + 1});
    else
      lists.push_back({&value, depth});
    if (key == "oneOf") check_apart(value);
  } else if (key == "type") {
    unsigned kinds = 0;
    for (const Json& name : value.is_array() ? value : Json::array({value})) {
      const unsigned kind = name.is_string() ? kind_of_name(name.get<std::string>()) : 0;
      if (kind == 0)
        complain(schema, key,
                 "null, boolean, integer, number, string, array or object is expected");
      kinds |= kind;
    }
    const auto nullable = schema.find("nullable");
    if (nullable != schema.end() && *nullable == true) kinds |= kind_null;
    demands.kinds &= kinds;
  } else if (key == "enum" || key == "const") {
    if (key == "enum" && (!value.is_array() || value.empty()))
      complain(schema, key, "an array of one or more values is expected");
    std::vector<Json> values;
    if (key == "enum")
      values.assign(value.begin(), value.end());
    else
      values.push_back(value);
    spend(static_cast<int64_t>(values.size() * (demands.values ? demands.values->size() : 1)));
    if (demands.values)
      std::erase_if(values, [&](const Json& v) {
        return std::find(demands.values->begin(), demands.values->end(), v) ==
               demands.values->end();
      });
    demands.values = std::move(values);
  } else if (!apply_number(schema, key, value, demands) &&
             !apply_string(schema, key, value, demands) &&
             !apply_array(schema, key, value, demands) &&
             !apply_object(schema, key, value, demands)) {
    const bool known = key.starts_with("x-") ||
                       std::find(annotations.begin(), annotations.end(), key) != annotations.end();
    if (!known) complain(schema, key, "this keyword cannot be enforced");
  }
}

namespace {

int64_t read_count(const Json& value) {
  if (value.is_number_unsigned() || (value.is_number_integer() && value.get<int64_t>() >= 0))
    return std::min<int64_t>(
        static_cast<int64_t>(std::min<uint64_t>(value.get<uint64_t>(), count_max)), count_max);
  if (value.is_number_float() && value.get<double>() >= 0 && value.get<double>() < 1e12 &&
      value.get<double>() == static_cast<double>(static_cast<int64_t>(value.get<double>())))
    return static_cast<int64_t>(value.get<double>());
  return -1;
}

void lower(int64_t& bound, int64_t value) {
  bound = bound < 0 ? value : std::min(bound, value);
}

}  // namespace

bool Schema::apply_number(const Json& schema, const std::string& key, const Json& value,
                          Demands& demands) {
  const bool low = key == "minimum" || key == "exclusiveMinimum";
  const bool high = key == "maximum" || key == "exclusiveMaximum";
  if (!low && !high && key != "multipleOf") return false;
  if ((low || high) && value.is_boolean()) return true;  // draft 4: about the other keyword
  const std::optional<Decimal> number =
      value.is_number() ? Decimal::read(value.dump()) : std::nullopt;
  if (!number) complain(schema, key, "a number of at most 40 digits is expected");
  if (key == "multipleOf") {
    const bool power = number->fraction.find_first_not_of('0') == number->fraction.size() - 1 &&
                       number->fraction.ends_with('1') && number->whole == "0";
    const bool one = number->whole == "1" && number->fraction.empty();
    if (number->negative || (!power && !one))
      complain(schema, key, "only 1, 0.1, 0.01 and so on can be enforced");
    demands.range.fraction_max =
        std::min(demands.range.fraction_max, static_cast<int>(number->fraction.size()));
    demands.range.exponents = false;
    return true;
  }
  const auto is_set = [&](const char* other) {
    const auto found = schema.find(other);
    return found != schema.end() && *found == true;
  };
  if (low)
    demands.range.raise_low(*number, key != "minimum" || is_set("exclusiveMinimum"));
  else
    demands.range.lower_high(*number, key != "maximum" || is_set("exclusiveMaximum"));
  return true;
}

bool Schema::apply_string(const Json& schema, const std::string& key, const Json& value,
                          Demands& demands) {
  if (key == "minLength" || key == "maxLength") {
    const int64_t count = read_count(value);
    if (count < 0) complain(schema, key, "a count is expected");
    if (key == "minLength")
      demands.length_min = std::max(demands.length_min, count);
    else
      lower(demands.length_max, count);
  } else if (key == "pattern") {
    if (!value.is_string()) complain(schema, key, "a regular expression is expected");
    const auto pattern = value.get<std::string>();
    spend(static_cast<int64_t>(pattern.size()));
    try {
      parse_regex(pattern);
    } catch (const Error& error) {
      complain(schema, key, error.what());
    }
    demands.patterns.insert(pattern);
  } else if (key == "format") {
    if (!value.is_string()) complain(schema, key, "the name of a format is expected");
    const auto name = value.get<std::string>();
    if (name == "int64" || name == "float" || name == "double" || name == "int32") {
      if (name == "int32") {
        demands.range.raise_low(*Decimal::read("-2147483648"), false);
        demands.range.lower_high(*Decimal::read("2147483647"), false);
      }
      return true;
    }
    const std::string_view pattern = format_pattern(name);
    if (pattern.empty())
      complain(schema, key, "the formats that can be enforced are " + format_names());
    demands.patterns.emplace(pattern);
  } else {
    return false;
  }
  return true;
}

bool Schema::apply_array(const Json& schema, const std::string& key, const Json& value,
                         Demands& demands) {
  const std::string at = path(&schema) + "/" + key;
  if (key == "minItems" || key == "maxItems") {
    const int64_t count = read_count(value);
    if (count < 0) complain(schema, key, "a count is expected");
    if (key == "minItems")
      demands.items_min = std::max(demands.items_min, count);
    else
      lower(demands.items_max, count);
  } else if (key == "prefixItems" || key == "items") {
    if (key == "items" && schema.contains("prefixItems")) return true;  // taken up with them
    Demands::Items items{{}, nullptr};
    const bool is_list = value.is_array();
    if (!is_list && key == "prefixItems") complain(schema, key, "an array of schemas is expected");
    const char* rest = is_list ? (key == "items" ? "additionalItems" : "items") : "items";
    if (is_list)
      for (size_t i = 0; i < value.size(); ++i)
        items.first.push_back(note_schema(value[i], at + "/" + std::to_string(i)));
    if (const auto found = schema.find(rest); found != schema.end())
      items.rest = note_schema(*found, path(&schema) + "/" + rest);
    spend(static_cast<int64_t>(items.first.size()));
    demands.items.push_back(std::move(items));
  } else if (key == "uniqueItems") {
    if (value != false) complain(schema, key, "only false can be enforced");
  } else if (key != "additionalItems") {
    return false;
  }
  return true;
}

bool Schema::apply_object(const Json& schema, const std::string& key, const Json& value,
                          Demands& demands) {
  const std::string at = path(&schema) + "/" + key;
  if (key == "properties" || key == "additionalProperties") {
    if (key == "additionalProperties" && schema.contains("properties")) return true;
    Demands::Members members{nullptr, nullptr};
    if (key == "properties") {
      if (!value.is_object()) complain(schema, key, "an object of schemas is expected");
      for (const auto& [name, property] : value.items())
        note_schema(property, at + "/" + escaped(name));
      spend(static_cast<int64_t>(value.size()));
      members.properties = &value;
    }
    if (const auto found = schema.find("additionalProperties"); found != schema.end())
      members.additional = note_schema(*found, path(&schema) + "/additionalProperties");
    demands.members.push_back(members);
  } else if (key == "required") {
    if (value.is_boolean()) complain(schema, key, "an array of names is expected");
    if (!value.is_array()) complain(schema, key, "an array of names is expected");
    for (const Json& name : value) {
      if (!name.is_string()) complain(schema, key, "an array of names is expected");
      if (!demands.requires_member(name.get<std::string>()))
        demands.required.push_back(name.get<std::string>());
      spend(static_cast<int64_t>(demands.required.size()) / 16);
    }
  } else if (key == "minProperties" || key == "maxProperties") {
    const int64_t count = read_count(value);
    if (count < 0) complain(schema, key, "a count is expected");
    if (key == "minProperties")
      demands.members_min = std::max(demands.members_min, count);
    else
      lower(demands.members_max, count);
  } else {
    return false;
  }
  return true;
}

// Only within the schema: "#", "#/$defs/name".
const Json* Schema::resolve(const Json& schema, const std::string& reference) {
  if (!reference.starts_with('#'))
    complain(schema, "$ref", "only references within the schema, as \"#/$defs/name\", are known");
  const Json* at = &json_;
  for (size_t begin = 1; begin < reference.size();) {
    if (reference[begin] != '/') complain(schema, "$ref", "it is no JSON pointer");
    const size_t end = std::min(reference.find('/', begin + 1), reference.size());
    std::string name;
    for (size_t i = begin + 1; i < end; ++i) {
      if (reference[i] == '~' && i + 1 < end &&
          (reference[i + 1] == '0' || reference[i + 1] == '1'))
        name += reference[++i] == '0' ? '~' : '/';
      else
        name += reference[i];
    }
    begin = end;
    spend(1);
    if (at->is_object() && at->contains(name)) {
      at = &at->at(name);
    } else if (at->is_array() && !name.empty() && name.size() < 8 &&
               name.find_first_not_of("0123456789") == std::string::npos &&
               std::stoul(name) < at->size()) {
      at = &(*at)[std::stoul(name)];
    } else {
      complain(schema, "$ref", "there is nothing at " + reference);
    }
  }
  return note_schema(*at, reference);
}

}  // namespace hadal::grammar
