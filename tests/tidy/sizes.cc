#include <algorithm>
#include <string>
#include <string_view>

#include "tidy/rules.h"

namespace hadal::tidy {
namespace {

constexpr size_t kLinesMax = 600;
constexpr size_t kColumnsMax = 100;
constexpr size_t kFunctionLinesMax = 70;
constexpr size_t kTestLinesMax = 90;  // a simulation is easier to follow in one piece

// Code points, as an editor counts them.
size_t columns(std::string_view line) {
  return static_cast<size_t>(
      std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// A line that is one raw string: a published pattern, say, which stays searchable in one piece.
bool is_raw_literal(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  return line.starts_with("R\"");
}

bool contains_word(std::string_view text, std::string_view word) {
  const auto is_word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
  };
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || !is_word(text[at - 1])) && (end == text.size() || !is_word(text[end]))) {
      return true;
    }
  }
  return false;
}

// What stands between the last ; { or } and a {: does it open a function's body? It does with a
// parameter list and without an '=' outside parentheses (an initialiser) or a word that opens a
// scope.
bool opens_function(std::string_view head) {
  for (const std::string_view word : {"namespace", "class", "struct", "union", "enum", "extern"}) {
    if (contains_word(head.substr(0, head.find('(')), word)) return false;
  }
  int depth = 0;
  bool has_parameters = false;
  for (size_t i = 0; i < head.size(); ++i) {
    if (head[i] == '(' || head[i] == '<') ++depth;
    if (head[i] == ')' || head[i] == '>') --depth;
    has_parameters |= head[i] == ')';
    if (head[i] == '=' && depth <= 0 && !head.substr(0, i).ends_with("operator") &&
        !head.substr(0, i).ends_with("operator=")) {
      return false;
    }
  }
  return has_parameters;
}

// Walks the braces of a file and reports each outermost function that is too long. Rough: it knows
// no macros that hide braces, and none are wanted.
void check_functions(const Source& source, Violations& out) {
  const size_t lines_max = source.path.starts_with("tests/") ? kTestLinesMax : kFunctionLinesMax;
  std::string head;
  int depth = 0;
  int function_depth = -1;  // depth outside the function that we are in
  size_t function_line = 0;
  for (size_t i = 0; i < source.code.size(); ++i) {
    if (source.code[i].starts_with('#')) continue;
    for (const char c : source.code[i]) {
      if (c == '{') {
        if (function_depth < 0 && opens_function(head)) {
          function_depth = depth;
          function_line = i;
        }
        ++depth;
      } else if (c == '}') {
        --depth;
        if (depth == function_depth) {
          function_depth = -1;
          const size_t lines = i - function_line + 1;
          if (lines > lines_max) {
            out.push_back({source.path, function_line + 1,
                           "a function of " + std::to_string(lines) + " lines, at most " +
                               std::to_string(lines_max) + " are wanted"});
          }
        }
      }
      head = c == '{' || c == '}' || c == ';' ? "" : head + c;
    }
    head += ' ';
  }
}

}  // namespace

void check_sizes(const std::vector<Source>& sources, Violations& out) {
  for (const auto& source : sources) {
    if (source.kind == Kind::kText) continue;
    const bool generated = !source.lines.empty() && source.lines[0].starts_with("// Generated");
    if (source.lines.size() > kLinesMax && !generated) {
      out.push_back({source.path, 0,
                     "a file of " + std::to_string(source.lines.size()) + " lines, at most " +
                         std::to_string(kLinesMax) + " are wanted"});
    }
    for (size_t i = 0; i < source.lines.size(); ++i) {
      const size_t width = columns(source.lines[i]);
      if (width > kColumnsMax && !is_raw_literal(source.lines[i])) {
        out.push_back({source.path, i + 1, "a line of " + std::to_string(width) + " columns"});
      }
    }
    if (source.kind == Kind::kCpp && !source.path.starts_with("src/kernels/")) {
      check_functions(source, out);
    }
  }
}

}  // namespace hadal::tidy
