#include "server/json_fields.h"

#include <cmath>

#include <fmt/format.h>

#include "server/api_error.h"

namespace hadal::server {
namespace {

// Depth and sizes are checked on the text, before anything is built from it.
void check_bounds(std::string_view text) {
  std::vector<size_t> colons;  // of the open objects and arrays
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '[' || c == '{') {
      colons.push_back(0);
      if (colons.size() > static_cast<size_t>(json_depth_max))
        throw ApiError(400,
                       fmt::format("the JSON is nested deeper than {} levels", json_depth_max));
    }
    if ((c == ']' || c == '}') && !colons.empty()) colons.pop_back();
    if (c == ':' && !colons.empty() && ++colons.back() > json_keys_max)
      throw ApiError(400, fmt::format("an object has more than {} keys", json_keys_max));
  }
}

}  // namespace

Json parse_body(std::string_view body) {
  check_bounds(body);
  try {
    return Json::parse(body.begin(), body.end());
  } catch (const Json::exception& error) {
    throw ApiError(400, fmt::format("the body is not valid JSON: {}", error.what()));
  }
}

std::string shown(const Json& value) {
  // Large values are named only: dumping them would cost more than the message is worth.
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    return Json(text.substr(0, 60)).dump(-1, ' ', false, Json::error_handler_t::replace) +
           (text.size() > 60 ? "..." : "");
  }
  return value.dump();
}

void wrong_field(const std::string& path, const std::string& expected, const Json& value) {
  throw ApiError(422,
                 fmt::format("{}: expected {}, got {}", path.empty() ? "the body" : path, expected,
                             shown(value)),
                 path);
}

Fields::Fields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
  if (!object.is_object()) wrong_field(path_, "an object", object);
}

std::string Fields::path(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

const Json* Fields::find(std::string_view key) const {
  for (const auto& item : object_.get_ref<const Json::object_t&>())
    if (item.first == key) return item.second.is_null() ? nullptr : &item.second;
  return nullptr;
}

const Json& Fields::require(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr)
    throw ApiError(422, fmt::format("{}: this field is needed", path(key)), path(key));
  return *value;
}

std::optional<bool> Fields::boolean(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) wrong_field(path(key), "true or false", *value);
  return value->get<bool>();
}

std::optional<int64_t> Fields::integer(std::string_view key, int64_t least, int64_t most) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const double number = value->is_number() ? value->get<double>() : NAN;
  // 8.0 counts as a whole number. Compared as doubles first: a huge one must not be converted.
  if (!(number >= static_cast<double>(least) && number <= static_cast<double>(most)) ||
      number != std::floor(number))
    wrong_field(path(key), fmt::format("a whole number from {} to {}", least, most), *value);
  return value->is_number_float() ? static_cast<int64_t>(number) : value->get<int64_t>();
}

std::optional<double> Fields::number(std::string_view key, double least, double most) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const double number = value->is_number() ? value->get<double>() : NAN;
  if (!(number >= least && number <= most))
    wrong_field(path(key), fmt::format("a number from {} to {}", least, most), *value);
  return number;
}

std::optional<std::string> Fields::string(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) wrong_field(path(key), "a string", *value);
  return value->get<std::string>();
}

std::vector<std::string> Fields::strings(std::string_view key, size_t most) const {
  const Json* value = find(key);
  if (value == nullptr) return {};
  if (value->is_string()) return {value->get<std::string>()};
  const std::string expected = fmt::format("a string or an array of at most {} strings", most);
  if (!value->is_array() || value->size() > most) wrong_field(path(key), expected, *value);
  std::vector<std::string> strings;
  for (const Json& item : *value) {
    if (!item.is_string())
      wrong_field(fmt::format("{}[{}]", path(key), strings.size()), "a string", item);
    strings.push_back(item.get<std::string>());
  }
  return strings;
}

std::optional<Fields> Fields::object(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  return Fields(*value, path(key));
}

const Json* Fields::array(std::string_view key, size_t most) const {
  const Json* value = find(key);
  if (value == nullptr) return nullptr;
  if (!value->is_array() || value->size() > most)
    wrong_field(path(key), fmt::format("an array of at most {} elements", most), *value);
  return value;
}

}  // namespace hadal::server
