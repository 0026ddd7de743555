// JSON schemas, taken apart: what several subschemas ask of one value together, as alternatives
// without references or combinations. docs/grammar.md lists the keywords.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "grammar/decimal.h"

namespace hadal::grammar {

using Json = nlohmann::ordered_json;  // members come in the schema's order

// A schema that is wrong, or asks for what a grammar cannot promise.
class SchemaError : public Error {
 public:
  SchemaError(std::string path, const std::string& message)
      : Error(ErrorKind::usage, path + ": " + message), path_(std::move(path)), reason_(message) {}
  const std::string& path() const { return path_; }  // a JSON pointer: "#/properties/age/pattern"
  const std::string& reason() const { return reason_; }  // what(), without the path

 private:
  std::string path_, reason_;
};

// Kinds of values, as bits. JSON Schema's "number" is both of integer and fraction.
enum Kind : unsigned {
  kind_null = 1,
  kind_boolean = 2,
  kind_integer = 4,
  kind_fraction = 8,
  kind_string = 16,
  kind_array = 32,
  kind_object = 64,
  kind_all = 127
};

// Subschemas that a value has to satisfy all; ascending, each once. Empty: any value.
using Conjunction = std::vector<const Json*>;

// What is asked of a value, all at once.
struct Demands {
  unsigned kinds = kind_all;
  std::string path;                         // of a schema that it comes from
  std::optional<std::vector<Json>> values;  // one of these, by enum and const
  NumberRange range;
  int64_t length_min = 0, length_max = -1;  // characters of a string; -1: no bound
  std::set<std::string> patterns;           // regular expressions, of formats, too
  struct Items {                            // of one schema
    std::vector<const Json*> first;
    const Json* rest;  // null: nothing is said of them
  };
  std::vector<Items> items;
  int64_t items_min = 0, items_max = -1;
  struct Members {           // of one schema
    const Json* properties;  // null: none
    const Json* additional;  // null: nothing is said of them
  };
  std::vector<Members> members;
  std::vector<std::string> required;
  int64_t members_min = 0, members_max = -1;

  // The kinds that can be generated: where a schema names no type, those that its keywords are
  // about.
  unsigned likely_kinds() const;
  // Names with their schemas, in order; those that are only required last.
  std::vector<std::pair<std::string, Conjunction>> properties() const;
  bool requires_member(const std::string& name) const;
  // Of a member by name.
  Conjunction member(const std::string& name) const;
  // Whether members beside properties() are generated, and what their values must be.
  std::optional<Conjunction> other_members() const;
  Conjunction item(size_t index) const;
  size_t items_first() const;  // so many elements have a schema of their own
  bool has_other_items() const;
};

class Schema {
 public:
  // Throws SchemaError, Error(limit) for a text that is too large.
  explicit Schema(std::string_view text);

  Conjunction root() const { return {&json_}; }
  // The alternatives of a conjunction. Throws SchemaError; Error(limit) if the schema is too
  // complicated.
  std::vector<Demands> alternatives(const Conjunction& schemas);
  std::string path(const Json* schema) const;
  // Whether a value satisfies them, as far as they do not speak of elements or members.
  bool admits(const Demands& demands, const Json& value);
  // Counts work; throws Error(limit) when there was too much.
  void spend(int64_t steps);

 private:
  struct Entry {
    const Json* schema;
    int depth;  // of references and combinations on the way
  };
  using Entries = std::vector<Entry>;

  void flatten(Entries entries, Entries lists, Demands demands, std::vector<Demands>& out);
  void apply(const Json& schema, const std::string& key, const Json& value, int depth,
             Entries& entries, Entries& lists, Demands& demands);
  bool apply_number(const Json& schema, const std::string& key, const Json& value,
                    Demands& demands);
  bool apply_string(const Json& schema, const std::string& key, const Json& value,
                    Demands& demands);
  bool apply_array(const Json& schema, const std::string& key, const Json& value, Demands& demands);
  bool apply_object(const Json& schema, const std::string& key, const Json& value,
                    Demands& demands);
  const Json* resolve(const Json& schema, const std::string& reference);
  const Json* note(const Json& child, const std::string& path);
  const Json* note_schema(const Json& child, const std::string& path);
  void check_apart(const Json& list);
  bool excludes(const Conjunction& a, const Conjunction& b, int depth);
  bool excludes(const Demands& a, const Demands& b, int depth);
  [[noreturn]] void complain(const Json& schema, const std::string& key,
                             const std::string& message) const;

  Json json_;
  std::map<const Json*, std::string> paths_;
  std::set<const Json*> apart_;  // lists of oneOf that were checked
  int64_t steps_left_;
};

}  // namespace hadal::grammar
