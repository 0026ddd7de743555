#include "tidy/source.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <optional>

namespace hadal::tidy {
namespace {

namespace fs = std::filesystem;

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

std::optional<Kind> kind_of(const fs::path& path) {
  const std::string name = path.filename().string();
  const std::string extension = path.extension().string();
  if (extension == ".cc" || extension == ".h" || extension == ".inc") return Kind::kCpp;
  if (name == "CMakeLists.txt" || extension == ".cmake") return Kind::kCMake;
  if (extension == ".sh" || name == "chat" || name == "test") return Kind::kShell;
  const std::string folder = path.parent_path().filename().string();
  if (extension.empty() && (folder == "scripts" || folder == ".ci")) return Kind::kShell;
  if (extension == ".md") return Kind::kText;
  return std::nullopt;
}

bool is_passed_over(const fs::path& folder) {
  const std::string name = folder.filename().string();
  if (name == ".ci") return false;
  const bool goldens = name == "data" && folder.parent_path().filename() == "golden";
  return name == "build" || goldens || name == "corpus" || name.starts_with('.');
}

// A cursor over C++ text that copies code and blanks the rest.
struct Blanker {
  std::string_view in;
  std::string out;
  size_t at = 0;

  void keep() { out += in[at++]; }
  void blank() {
    out += in[at] == '\n' ? '\n' : ' ';
    ++at;
  }
  [[nodiscard]] bool looking_at(std::string_view what) const {
    return in.substr(at).starts_with(what);
  }

  void line_comment() {
    while (at < in.size() && in[at] != '\n') blank();
  }
  void block_comment() {
    while (at < in.size() && !looking_at("*/")) blank();
    for (int i = 0; i < 2 && at < in.size(); ++i) blank();
  }
  void quoted(char quote) {
    keep();
    while (at < in.size() && in[at] != quote && in[at] != '\n') {
      if (in[at] == '\\' && at + 1 < in.size()) blank();
      blank();
    }
    if (at < in.size()) keep();
  }
  void raw_string() {
    keep();
    keep();
    const size_t open = in.find('(', at);
    if (open == std::string_view::npos) return;
    const std::string close = ")" + std::string(in.substr(at, open - at)) + "\"";
    while (at < in.size() && !looking_at(close)) blank();
    for (size_t i = 0; i + 1 < close.size() && at < in.size(); ++i) blank();
    if (at < in.size()) keep();
  }
  void directive_with_file() {
    while (at < in.size() && in[at] != '\n') keep();
  }
};

Source load(const fs::path& root, const fs::path& path, Kind kind) {
  std::ifstream stream(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(stream)),
                         std::istreambuf_iterator<char>());
  Source source{fs::relative(path, root).generic_string(), kind, split_lines(text), {}};
  if (kind == Kind::kCpp) source.code = split_lines(blank_literals(text));
  return source;
}

}  // namespace

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string blank_literals(std::string_view text) {
  Blanker b{text, {}};
  b.out.reserve(text.size());
  while (b.at < text.size()) {
    const char before = b.at == 0 ? '\n' : text[b.at - 1];
    if (b.looking_at("//")) {
      b.line_comment();
    } else if (b.looking_at("/*")) {
      b.block_comment();
    } else if (b.looking_at("R\"") && !is_word(before)) {
      b.raw_string();
    } else if (before == '\n' && b.looking_at("#include")) {
      b.directive_with_file();
    } else if (text[b.at] == '"') {
      b.quoted('"');
    } else if (text[b.at] == '\'' && !is_word(before)) {  // 1'000 and u8'x' need no blanking
      b.quoted('\'');
    } else {
      b.keep();
    }
  }
  return b.out;
}

std::vector<Source> load_sources(const fs::path& root) {
  std::vector<Source> sources;
  auto walk = fs::recursive_directory_iterator(root);
  for (auto entry = fs::begin(walk); entry != fs::end(walk); ++entry) {
    if (entry->is_directory()) {
      if (is_passed_over(entry->path())) entry.disable_recursion_pending();
    } else if (const auto kind = kind_of(entry->path()); kind && entry->is_regular_file()) {
      sources.push_back(load(root, entry->path(), *kind));
    }
  }
  std::sort(sources.begin(), sources.end(),
            [](const Source& a, const Source& b) { return a.path < b.path; });
  return sources;
}

}  // namespace hadal::tidy
