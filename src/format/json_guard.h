// JSON from files that nobody vouches for: size, depth and duplicate keys are checked before or
// while parsing, every access names file and key in its error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace hadal::format {

inline constexpr size_t json_bytes_max = size_t{100} << 20;  // safetensors' own header limit
inline constexpr int json_depth_max = 64;

// Parses text. Throws Error(format) naming `source` if it is no JSON, too large, nested too deeply,
// or an object holds a key twice.
nlohmann::json parse_json(std::string_view text, std::string_view source,
                          size_t bytes_max = json_bytes_max);

// Reads and parses a file of at most bytes_max. Throws Error(file | format).
nlohmann::json read_json(const std::string& path, size_t bytes_max = json_bytes_max);

// An object whose values are read by key. A null value counts as absent. All functions throw
// Error(format) naming source and key.
class JsonObject {
 public:
  // path: where the object stands in the file ("rope_scaling."), for messages. The JSON value must
  // outlive this.
  JsonObject(const nlohmann::json& value, std::string source, std::string path = "");

  bool has(std::string_view key) const { return find(key) != nullptr; }
  // Whole numbers of at most 2^53 either way; 4096.0 counts as one.
  int64_t integer(std::string_view key) const;
  int64_t integer_or(std::string_view key, int64_t otherwise) const;
  double real(std::string_view key) const;  // finite
  double real_or(std::string_view key, double otherwise) const;
  bool boolean_or(std::string_view key, bool otherwise) const;
  std::string string_or(std::string_view key, std::string_view otherwise) const;
  std::optional<JsonObject> object(std::string_view key) const;
  // One whole number or a list of them; empty if absent.
  std::vector<int64_t> integers(std::string_view key) const;
  // Null if absent.
  const nlohmann::json* find(std::string_view key) const;
  const std::string& source() const { return source_; }
  // The key as messages spell it.
  std::string name(std::string_view key) const { return path_ + std::string(key); }

 private:
  const nlohmann::json& require(std::string_view key) const;
  [[noreturn]] void wrong(std::string_view key, const nlohmann::json& value,
                          std::string_view expected) const;
  int64_t to_integer(std::string_view key, const nlohmann::json& value) const;

  const nlohmann::json* value_;
  std::string source_, path_;
};

}  // namespace hadal::format
