#include "tokenizer/tools.h"

#include <cmath>

#include <fmt/format.h>

#include "base/error.h"
#include "tokenizer/tools_json.h"

namespace hadal::tokenizer {
namespace {

constexpr int kDepthMax = 64;
constexpr size_t kToolsMax = 1024;

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04x}", static_cast<int>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

// Python's repr: the shortest digits that read back, always with a point or an exponent.
std::string python_number(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == std::string::npos) {
    text += ".0";
  }
  return text;
}

void new_line(std::string& out, int indent, int depth) {
  if (indent > 0) {
    out += '\n';
    out.append(static_cast<size_t>(indent) * static_cast<size_t>(depth), ' ');
  }
}

// Recursion is bounded by parse_json's depth limit.
void append_value(std::string& out, const Json& value, int indent, int depth) {
  if (value.is_string()) {
    append_quoted(out, value.get_ref<const std::string&>());
  } else if (value.is_number_float()) {
    out += python_number(value.get<double>());
  } else if (!value.is_structured()) {
    out += value.dump();
  } else if (value.empty()) {
    out += value.is_object() ? "{}" : "[]";
  } else {
    out += value.is_object() ? '{' : '[';
    bool first = true;
    for (const auto& item : value.items()) {
      if (!first) {
        out += indent > 0 ? "," : ", ";
      }
      first = false;
      new_line(out, indent, depth + 1);
      if (value.is_object()) {
        append_quoted(out, item.key());
        out += ": ";
      }
      append_value(out, item.value(), indent, depth + 1);
    }
    new_line(out, indent, depth);
    out += value.is_object() ? '}' : ']';
  }
}

}  // namespace

Json parse_json(std::string_view json, std::string_view what) {
  const auto guard = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > kDepthMax) {
      fail(ErrorKind::usage, "{}: nested deeper than {} levels", what, kDepthMax);
    }
    return true;
  };
  try {
    return Json::parse(json.begin(), json.end(), guard);
  } catch (const Json::exception& error) {
    fail(ErrorKind::usage, "{} is not valid JSON: {}", what, error.what());
  }
}

std::string python_dump(const Json& value, int indent) {
  std::string out;
  append_value(out, value, indent, 0);
  return out;
}

std::string python_json(std::string_view json, std::string_view what, int indent) {
  return python_dump(parse_json(json, what), indent);
}

std::string json_quoted(std::string_view text) {
  std::string out;
  append_quoted(out, text);
  return out;
}

std::vector<Tool> tools_from(const Json& value) {
  if (!value.is_array()) {
    fail(ErrorKind::usage, "tools: expected a JSON array of functions");
  }
  if (value.size() > kToolsMax) {
    fail(ErrorKind::usage, "tools: {} given, at most {} allowed", value.size(), kToolsMax);
  }
  std::vector<Tool> tools;
  for (const Json& item : value) {
    const bool wrapped = item.is_object() && item.contains("function");
    const Json& function = wrapped ? item["function"] : item;
    if (!function.is_object() || !function.contains("name") || !function["name"].is_string()) {
      fail(ErrorKind::usage,
           "tools[{}]: expected {{\"type\":\"function\",\"function\":{{\"name\":...}}}}",
           tools.size());
    }
    Tool tool;
    tool.name = function["name"].get<std::string>();
    const auto description = function.find("description");
    if (description != function.end() && description->is_string()) {
      tool.description = description->get<std::string>();
    }
    tool.parameters = function.contains("parameters") ? python_dump(function["parameters"]) : "{}";
    tool.function = python_dump(function);
    tools.push_back(std::move(tool));
  }
  return tools;
}

std::vector<Tool> tools_from_json(std::string_view json) {
  return tools_from(parse_json(json, "tools"));
}

std::vector<ToolArgument> tool_arguments(const ToolCall& call) {
  std::vector<ToolArgument> arguments;
  if (call.arguments.empty()) {
    return arguments;
  }
  const std::string what = fmt::format("arguments of the call of '{}'", call.name);
  const Json object = parse_json(call.arguments, what);
  if (object.is_null()) {
    return arguments;
  }
  if (!object.is_object()) {
    fail(ErrorKind::usage, "{}: expected a JSON object", what);
  }
  for (const auto& item : object.items()) {
    const Json& value = item.value();
    arguments.push_back({item.key(),
                         value.is_string() ? value.get<std::string>() : python_dump(value),
                         value.is_string()});
  }
  return arguments;
}

}  // namespace hadal::tokenizer
