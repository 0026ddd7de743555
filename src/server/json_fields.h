// JSON from the network: parsed with every bound checked first, read field by field. Whatever is
// wrong becomes an ApiError that names the path: 400 if it is no JSON, 422 if it is not what the
// field wants.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace hadal::server {

using Json = nlohmann::ordered_json;  // keeps the order of keys, which prompts show

inline constexpr int json_depth_max = 64;
inline constexpr size_t json_keys_max = 1024;  // of one object: ordered objects search linearly

// Throws ApiError(400).
Json parse_body(std::string_view body);

// The value as a message shows it, cut to a line.
std::string shown(const Json& value);
// Throws ApiError(422): "temperature: expected a number from 0 to 2, got \"hot\"".
[[noreturn]] void wrong_field(const std::string& path, const std::string& expected,
                              const Json& value);

// The fields of an object. A null value counts as absent. Unknown fields are nobody's business.
class Fields {
 public:
  // path: of the object, "" for the whole body. Throws ApiError(422) if it is no object. The value
  // must outlive this.
  Fields(const Json& object, std::string path);

  const Json* find(std::string_view key) const;
  const Json& require(std::string_view key) const;  // throws ApiError(422) if it is absent
  std::string path(std::string_view key) const;

  std::optional<bool> boolean(std::string_view key) const;
  std::optional<int64_t> integer(std::string_view key, int64_t least, int64_t most) const;
  std::optional<double> number(std::string_view key, double least, double most) const;
  std::optional<std::string> string(std::string_view key) const;
  // One string or an array of at most `most` strings.
  std::vector<std::string> strings(std::string_view key, size_t most) const;
  std::optional<Fields> object(std::string_view key) const;
  // Null if absent; throws unless it is an array of at most `most` elements.
  const Json* array(std::string_view key, size_t most) const;

 private:
  const Json& object_;
  std::string path_;
};

}  // namespace hadal::server
