// A plain validator of JSON schemas, random schemas, and random tokens that a grammar allows: for
// tests that set what a grammar lets through against what the schema says.
#pragma once

#include <algorithm>
#include <cmath>
#include <regex>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "unit/grammar/written.h"

namespace hadal::grammar::testing {

using Json = nlohmann::ordered_json;

inline bool has_type(const Json& value, const std::string& type) {
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_boolean();
  if (type == "string") return value.is_string();
  if (type == "array") return value.is_array();
  if (type == "object") return value.is_object();
  if (type == "number") return value.is_number();
  return value.is_number() && value.get<double>() == std::floor(value.get<double>());
}

// "" if the value satisfies the schema; else what is wrong. root: where references begin.
inline std::string why_invalid(const Json& root, const Json& schema, const Json& value) {
  if (schema.is_boolean()) return schema.get<bool>() ? "" : "false";
  const auto bad = [&](const Json& sub, const Json& part) { return why_invalid(root, sub, part); };
  const auto holds = [&](const char* key) { return schema.contains(key); };
  if (holds("$ref"))
    if (auto why =
            bad(root.at(Json::json_pointer(schema["$ref"].get<std::string>().substr(1))), value);
        !why.empty())
      return why;
  if (holds("type")) {
    const Json types = schema["type"].is_array() ? schema["type"] : Json::array({schema["type"]});
    if (std::none_of(types.begin(), types.end(),
                     [&](const Json& type) { return has_type(value, type.get<std::string>()); }))
      return "type";
  }
  if (holds("enum") &&
      std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end())
    return "enum";
  if (holds("const") && schema["const"] != value) return "const";
  const auto count_valid = [&](const char* key) {
    return std::count_if(schema[key].begin(), schema[key].end(),
                         [&](const Json& sub) { return bad(sub, value).empty(); });
  };
  if (holds("anyOf") && count_valid("anyOf") == 0) return "anyOf";
  if (holds("oneOf") && count_valid("oneOf") != 1) return "oneOf";
  if (holds("allOf") && count_valid("allOf") != static_cast<int64_t>(schema["allOf"].size()))
    return "allOf";
  if (value.is_number()) {
    const double x = value.get<double>();
    if (holds("minimum") && x < schema["minimum"].get<double>()) return "minimum";
    if (holds("maximum") && x > schema["maximum"].get<double>()) return "maximum";
    if (holds("exclusiveMinimum") && x <= schema["exclusiveMinimum"].get<double>())
      return "exclusiveMinimum";
    if (holds("exclusiveMaximum") && x >= schema["exclusiveMaximum"].get<double>())
      return "exclusiveMaximum";
  }
  if (value.is_string()) {
    const auto text = value.get<std::string>();
    const auto length =
        std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
    if (holds("minLength") && length < schema["minLength"].get<int64_t>()) return "minLength";
    if (holds("maxLength") && length > schema["maxLength"].get<int64_t>()) return "maxLength";
    if (holds("pattern") &&
        !std::regex_search(text, std::regex(schema["pattern"].get<std::string>())))
      return "pattern";
  }
  if (value.is_array()) {
    const auto size = static_cast<int64_t>(value.size());
    if (holds("minItems") && size < schema["minItems"].get<int64_t>()) return "minItems";
    if (holds("maxItems") && size > schema["maxItems"].get<int64_t>()) return "maxItems";
    const size_t first = holds("prefixItems") ? schema["prefixItems"].size() : 0;
    for (size_t i = 0; i < value.size(); ++i) {
      const Json sub = i < first        ? schema["prefixItems"][i]
                       : holds("items") ? schema["items"]
                                        : Json(true);
      if (auto why = bad(sub, value[i]); !why.empty()) return fmt::format("{}: {}", i, why);
    }
  }
  if (value.is_object()) {
    if (holds("required"))
      for (const Json& name : schema["required"])
        if (!value.contains(name.get<std::string>())) return "required";
    for (const auto& item : value.items()) {
      const bool known = holds("properties") && schema["properties"].contains(item.key());
      const Json sub = known                           ? schema["properties"][item.key()]
                       : holds("additionalProperties") ? schema["additionalProperties"]
                                                       : Json(true);
      if (auto why = bad(sub, item.value()); !why.empty()) return item.key() + ": " + why;
    }
  }
  return "";
}

class RandomSchema {
 public:
  explicit RandomSchema(uint64_t seed) : seed_(seed) {}

  Json make() { return with_definitions(value(0)); }
  Json make_object() { return with_definitions(object(0)); }

 private:
  Json with_definitions(Json schema) {
    if (schema.is_object()) schema["$defs"] = {{"d", value(2)}};
    return schema;
  }

  int pick(int n) { return static_cast<int>(random_uniform(seed_, 7, counter_++) * n); }

  Json value(int depth) {
    switch (pick(depth > 2 ? 6 : 12)) {
      case 0:
        return {{"type", pick(2) == 0 ? "boolean" : "null"}};
      case 1:
        return number();
      case 2:
      case 3:
        return string();
      case 4:
        return {{"enum", {1, "two", nullptr, 2.5, "深\""}}};
      case 5:
        return depth > 0 ? Json{{"$ref", "#/$defs/d"}} : Json{{"type", "integer"}};
      case 6:
      case 7:
        return array(depth);
      case 8:
        return {{pick(2) == 0 ? "anyOf" : "oneOf", {value(depth + 1), value(depth + 1)}}};
      case 9:
        return {{"allOf", {value(depth + 1), {{"type", {"string", "object", "integer"}}}}}};
      default:
        return object(depth);
    }
  }

  Json number() {
    const bool integer = pick(2) == 0;
    Json schema = {{"type", integer ? "integer" : "number"}};
    const double scale = integer ? 1 : 0.25;
    const int low = pick(2000) - 1000;
    if (pick(2) == 0) schema[pick(2) == 0 ? "minimum" : "exclusiveMinimum"] = low * scale;
    if (pick(2) == 0)
      schema[pick(2) == 0 ? "maximum" : "exclusiveMaximum"] = (low + 2 + pick(500)) * scale;
    return schema;
  }

  Json string() {
    static const char* const patterns[] = {"^[a-z]+$",          "^(ab|c)*d?$", "x",
                                           "^\\d{2}-\\d{1,3}$", "^[^a-y]{3}",  "b$"};
    Json schema = {{"type", "string"}};
    if (pick(2) == 0) schema["pattern"] = patterns[pick(6)];
    if (pick(3) == 0) schema["minLength"] = pick(4);
    if (pick(3) == 0) schema["maxLength"] = 4 + pick(8);
    return schema;
  }

  Json array(int depth) {
    Json schema = {{"type", "array"}};
    if (pick(2) == 0) schema["items"] = value(depth + 1);
    if (pick(3) == 0) schema["prefixItems"] = {value(depth + 1), value(depth + 1)};
    if (pick(2) == 0) schema["minItems"] = pick(3);
    if (pick(2) == 0) schema["maxItems"] = 2 + pick(3);
    return schema;
  }

  Json object(int depth) {
    static const char* const names[] = {"a", "ab", "name", "é\"", ""};
    Json schema = {{"type", "object"}, {"properties", Json::object()}};
    schema["required"] = Json::array();
    for (const char* name : names) {
      if (pick(2) == 0) continue;
      schema["properties"][name] = value(depth + 1);
      if (pick(2) == 0) schema["required"].push_back(name);
    }
    const int more = pick(4);
    if (more == 0) schema["additionalProperties"] = false;
    if (more == 1) schema["additionalProperties"] = value(depth + 1);
    return schema;
  }

  uint64_t seed_, counter_ = 0;
};

// A token that may come next, rather one that ends something once the walk has become long; -1 if
// there is none.
inline int32_t draw_token(Matcher& matcher, uint64_t seed, uint64_t walk, uint64_t step) {
  const auto mask = matcher.mask();
  std::vector<int32_t> choices;
  const auto size = static_cast<int32_t>(small_vocabulary()->tokenizer().size());
  for (int32_t id = 0; id < size; ++id)
    if (((*mask)[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0) choices.push_back(id);
  if (choices.empty()) return -1;
  const double u = random_uniform(seed, 10 + walk, step);
  if (step > 20 || u < 0.3)
    for (const char end : {'}', ']', '"'})
      if (std::find(choices.begin(), choices.end(), int32_t{end}) != choices.end()) return end;
  return choices[static_cast<size_t>(random_uniform(seed, 15 + walk, step) *
                                     static_cast<double>(choices.size()))];
}

}  // namespace hadal::grammar::testing
