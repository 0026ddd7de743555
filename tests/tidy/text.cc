#include <algorithm>
#include <string>
#include <string_view>

#include "tidy/rules.h"

namespace hadal::tidy {
namespace {

// Written in two halves so that this file does not break its own rules.
constexpr std::string_view kUndone[] = {
    "TO"
    "DO",
    "FIX"
    "ME"};
// Paths of one developer's machine; "../sha" "red/goldens" has its own rule in code.
constexpr std::string_view kMachinePaths[] = {
    "/wo"
    "rk/",
    "/ho"
    "me/",
    "/tmp/to"
    "ols",
    "/tmp/br"
    "ief",
    "/tmp/ve"
    "nv",
    "sha"
    "red/models",
    "sha"
    "red/data",
    "sha"
    "red/reference",
    "sha"
    "red/tools"};

void check_line(const Source& source, size_t i, Violations& out) {
  const std::string& line = source.lines[i];
  for (const auto word : kUndone) {
    if (line.find(word) != std::string::npos) {
      out.push_back({source.path, i + 1, "a note of undone work: " + std::string(word)});
    }
  }
  for (const auto path : kMachinePaths) {
    if (line.find(path) != std::string::npos) {
      out.push_back({source.path, i + 1, "a path of one machine: " + std::string(path)});
    }
  }
  if (source.kind == Kind::kText) return;
  if (line.find('\t') != std::string::npos) out.push_back({source.path, i + 1, "a tab"});
  if (line.ends_with(' ') || line.ends_with('\r')) {
    out.push_back({source.path, i + 1, "a blank at the line's end"});
  }
}

}  // namespace

void check_text(const std::vector<Source>& sources, Violations& out) {
  for (const auto& source : sources) {
    const std::string name = source.path.substr(source.path.rfind('/') + 1);
    const std::string stem = name.substr(0, name.find('.'));
    if (stem == "util" || stem == "utils" || stem.ends_with("_util") || stem.ends_with("_utils")) {
      out.push_back({source.path, 0, "a drawer for anything: name the file for what it does"});
    }
    if (source.is_header() &&
        std::find(source.lines.begin(), source.lines.end(), "#pragma once") == source.lines.end()) {
      out.push_back({source.path, 0, "a header without #pragma once"});
    }
    for (size_t i = 0; i < source.lines.size(); ++i) check_line(source, i, out);
  }
}

Violations check_all(const std::vector<Source>& sources) {
  Violations out;
  check_layers(sources, out);
  check_instruction_sets(sources, out);
  check_sizes(sources, out);
  check_text(sources, out);
  return out;
}

}  // namespace hadal::tidy
