#include "format/json_guard.h"

#include <cmath>
#include <unordered_set>

#include "base/error.h"
#include "base/mapped_file.h"
#include "format/printable.h"

namespace hadal::format {
namespace {

using nlohmann::json;

// Depth is checked on the text, so that nothing is built that later needs deep recursion.
void check_depth(std::string_view text, std::string_view source) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '[' || c == '{')
      if (++depth > json_depth_max)
        fail(ErrorKind::format, "{}: JSON is nested deeper than {} levels", source, json_depth_max);
    if (c == ']' || c == '}') --depth;
  }
}

// Values of a message, cut to a length that fits a line.
std::string shown(const json& value) {
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

}  // namespace

json parse_json(std::string_view text, std::string_view source, size_t bytes_max) {
  if (text.size() > bytes_max)
    fail(ErrorKind::format, "{}: {} bytes of JSON, expected at most {}", source, text.size(),
         bytes_max);
  check_depth(text, source);
  std::vector<std::unordered_set<std::string>> keys;  // of the objects that are open
  std::string duplicate;
  const auto watch = [&](int, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second)
      duplicate = value.get<std::string>();
    return true;
  };
  try {
    json value = json::parse(text, watch);
    if (!duplicate.empty())
      fail(ErrorKind::format, "{}: the key \"{}\" occurs twice", source, printable(duplicate));
    return value;
  } catch (const json::exception& error) {
    fail(ErrorKind::format, "{}: not valid JSON: {}", source, printable(error.what(), 400));
  }
}

json read_json(const std::string& path, size_t bytes_max) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path, bytes_max);
}

JsonObject::JsonObject(const json& value, std::string source, std::string path)
    : value_(&value), source_(std::move(source)), path_(std::move(path)) {
  if (!value.is_object())
    fail(ErrorKind::format, "{}: {}{} is not a JSON object", source_,
         path_.empty() ? "the file" : "", path_.substr(0, path_.empty() ? 0 : path_.size() - 1));
}

const json* JsonObject::find(std::string_view key) const {
  const auto found = value_->find(key);
  return found == value_->end() || found->is_null() ? nullptr : &*found;
}

const json& JsonObject::require(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr) fail(ErrorKind::format, "{}: the key {} is missing", source_, name(key));
  return *value;
}

void JsonObject::wrong(std::string_view key, const json& value, std::string_view expected) const {
  fail(ErrorKind::format, "{}: {} is {}, expected {}", source_, name(key), shown(value), expected);
}

int64_t JsonObject::to_integer(std::string_view key, const json& value) const {
  constexpr double limit = 9007199254740992.0;  // 2^53
  if (!value.is_number()) wrong(key, value, "a whole number");
  const double number = value.get<double>();
  if (!(std::abs(number) <= limit) || number != std::floor(number))
    wrong(key, value, "a whole number");
  return static_cast<int64_t>(number);
}

int64_t JsonObject::integer(std::string_view key) const {
  return to_integer(key, require(key));
}

int64_t JsonObject::integer_or(std::string_view key, int64_t otherwise) const {
  const json* value = find(key);
  return value == nullptr ? otherwise : to_integer(key, *value);
}

double JsonObject::real(std::string_view key) const {
  const json& value = require(key);
  if (!value.is_number()) wrong(key, value, "a number");
  const double number = value.get<double>();
  if (!std::isfinite(number)) wrong(key, value, "a finite number");
  return number;
}

double JsonObject::real_or(std::string_view key, double otherwise) const {
  return has(key) ? real(key) : otherwise;
}

bool JsonObject::boolean_or(std::string_view key, bool otherwise) const {
  const json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) wrong(key, *value, "true or false");
  return value->get<bool>();
}

std::string JsonObject::string_or(std::string_view key, std::string_view otherwise) const {
  const json* value = find(key);
  if (value == nullptr) return std::string(otherwise);
  if (!value->is_string()) wrong(key, *value, "a string");
  return value->get<std::string>();
}

std::optional<JsonObject> JsonObject::object(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) wrong(key, *value, "an object");
  return JsonObject(*value, source_, name(key) + ".");
}

std::vector<int64_t> JsonObject::integers(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_array()) return {to_integer(key, *value)};
  std::vector<int64_t> numbers;
  for (const json& element : *value) numbers.push_back(to_integer(key, element));
  return numbers;
}

}  // namespace hadal::format
