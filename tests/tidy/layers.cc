#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "tidy/rules.h"

namespace hadal::tidy {
namespace {

using Names = std::set<std::string, std::less<>>;

// What each folder may include beside itself. ARCHITECTURE.md draws the same picture.
const std::map<std::string, Names, std::less<>>& arrows() {
  static const std::map<std::string, Names, std::less<>> table = {
      {"base", {}},
      {"quant", {"base"}},
      {"kernels", {"base", "quant"}},
      {"model", {"base", "quant", "kernels"}},
      {"format", {"base", "quant", "model"}},
      {"tokenizer", {"base"}},
      {"data", {"base", "tokenizer"}},
      {"grammar", {"base", "tokenizer"}},
      {"infer", {"base", "quant", "kernels", "model", "format", "tokenizer", "grammar"}},
      {"eval",
       {"base", "quant", "kernels", "model", "format", "tokenizer", "grammar", "infer", "data"}},
      {"server", {"base", "quant", "kernels", "model", "format", "tokenizer", "grammar", "infer"}},
      {"train", {"base", "quant", "kernels", "model", "format", "tokenizer", "data"}},
      {"cli",
       {"base", "quant", "kernels", "model", "format", "tokenizer", "grammar", "infer", "eval",
        "server", "data", "train"}},
  };
  return table;
}

// "src/model/rope.cc" -> "model"; nothing for files elsewhere.
std::optional<std::string> folder_of(std::string_view path) {
  if (!path.starts_with("src/")) return std::nullopt;
  path.remove_prefix(4);
  const size_t slash = path.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  return std::string(path.substr(0, slash));
}

// The file named by an #include line, with its opening mark: "model/rope.h or <vector.
std::optional<std::string> included(std::string_view line) {
  if (!line.starts_with("#include")) return std::nullopt;
  const size_t open = line.find_first_of("\"<");
  if (open == std::string_view::npos) return std::nullopt;
  const size_t close = line.find_first_of("\">", open + 1);
  return std::string(line.substr(open, close - open));
}

void check_include(const Source& source, size_t line, const std::string& folder,
                   const std::string& file, Violations& out) {
  const std::string target = file.substr(0, file.find('/'));
  const auto known = arrows().find(target);
  if (file.find('/') == std::string::npos || known == arrows().end()) {
    out.push_back({source.path, line, "include \"" + file + "\" does not begin with a src folder"});
    return;
  }
  if (target == folder) return;
  const auto own = arrows().find(folder);
  if (own != arrows().end() && !own->second.contains(target)) {
    out.push_back({source.path, line, folder + " may not include " + target});
  }
}

void check_links(const Source& source, const std::string& folder, Violations& out) {
  const auto own = arrows().find(folder);
  if (own == arrows().end()) return;
  for (size_t i = 0; i < source.lines.size(); ++i) {
    const std::string& line = source.lines[i];
    for (size_t at = line.find("hadal_"); at != std::string::npos; at = line.find("hadal_", at)) {
      at += 6;
      size_t end = at;
      while (end < line.size() && (std::islower(static_cast<unsigned char>(line[end])) != 0)) ++end;
      const std::string target = line.substr(at, end - at);
      if (target != folder && arrows().contains(target) && !own->second.contains(target)) {
        out.push_back({source.path, i + 1, folder + " may not link " + target});
      }
    }
  }
}

void check_folders(const Names& folders, const Source& list, Violations& out) {
  Names listed;
  for (size_t i = 0; i < list.lines.size(); ++i) {
    const std::string& line = list.lines[i];
    if (!line.starts_with("add_subdirectory(")) continue;
    const std::string name = line.substr(17, line.find_first_of(" )", 17) - 17);
    listed.insert(name);
    if (!folders.contains(name)) out.push_back({list.path, i + 1, "no folder src/" + name});
  }
  for (const auto& folder : folders) {
    if (!listed.contains(folder)) out.push_back({list.path, 0, "src/" + folder + " is not listed"});
    if (!arrows().contains(folder)) {
      out.push_back(
          {"src/" + folder, 0, "the folder has no layer: add it to tests/tidy/layers.cc"});
    }
  }
}

// "src/kernels/avx2/gemm.cc" -> "kernels/avx2/"; nothing for kernels/ itself,
// kernels/ref and kernels/portable, which need no instruction set.
std::optional<std::string> instruction_set_of(std::string_view path) {
  constexpr std::string_view prefix = "src/kernels/";
  if (!path.starts_with(prefix)) return std::nullopt;
  const size_t slash = path.find('/', prefix.size());
  if (slash == std::string_view::npos || path.substr(prefix.size()).starts_with("ref/") ||
      path.substr(prefix.size()).starts_with("portable/")) {
    return std::nullopt;
  }
  return std::string(path.substr(4, slash - 3));
}

bool is_plain(std::string_view file) {
  static const Names plain = {"<immintrin.h", "<stdint.h", "<stddef.h"};
  return plain.contains(file);
}

// Follows the project headers that a file of an instruction set reaches.
class Reach {
 public:
  Reach(const std::vector<Source>& sources, Violations& out) : out_(out) {
    for (const auto& source : sources) by_path_[source.path] = &source;
  }

  void visit(const Source& source, const std::string& origin) {
    if (!seen_.insert(source.path).second) return;
    for (size_t i = 0; i < source.code.size(); ++i) {
      const auto file = included(source.code[i]);
      if (!file || is_plain(*file)) continue;
      const auto header = by_path_.find("src/" + file->substr(1));
      if (file->front() == '"' && header != by_path_.end()) {
        visit(*header->second, origin);
      } else {
        out_.push_back({source.path, i + 1,
                        "include of " + file->substr(1) + ", reached from " + origin +
                            ": code for an instruction set may take plain C headers only"});
      }
    }
  }

 private:
  std::map<std::string, const Source*, std::less<>> by_path_;
  Names seen_;
  Violations& out_;
};

}  // namespace

void check_layers(const std::vector<Source>& sources, Violations& out) {
  Names folders;
  for (const auto& source : sources) {
    const auto folder = folder_of(source.path);
    if (!folder) continue;
    folders.insert(*folder);
    if (source.path == "src/" + *folder + "/CMakeLists.txt") check_links(source, *folder, out);
    for (size_t i = 0; i < source.code.size(); ++i) {
      const auto file = included(source.code[i]);
      if (file && file->front() == '"') check_include(source, i + 1, *folder, file->substr(1), out);
    }
  }
  const auto list = std::find_if(sources.begin(), sources.end(), [](const Source& source) {
    return source.path == "src/CMakeLists.txt";
  });
  if (list == sources.end()) {
    out.push_back({"src/CMakeLists.txt", 0, "the file is missing"});
  } else {
    check_folders(folders, *list, out);
  }
}

void check_instruction_sets(const std::vector<Source>& sources, Violations& out) {
  Reach reach(sources, out);
  for (const auto& source : sources) {
    const auto set = instruction_set_of(source.path);
    if (!set) continue;
    reach.visit(source, source.path);
    for (size_t i = 0; i < source.code.size(); ++i) {
      const auto file = included(source.code[i]);
      if (!file || file->front() != '"') continue;
      const std::string name = file->substr(1);
      const bool is_shared = (name.starts_with("kernels/") && name.rfind('/') == 7) ||
                             // Constants and static inline functions only.
                             name == "base/scalar.h" || name == "quant/blocks.h";
      // Processors with tiles have the wide vectors too.
      const bool is_below = *set == "kernels/amx/" && name.starts_with("kernels/avx512/");
      if (!is_shared && !is_below && !name.starts_with(*set)) {
        out.push_back({source.path, i + 1,
                       "code for an instruction set may include the headers of kernels/, "
                       "base/scalar.h, quant/blocks.h and its own, not " +
                           name});
      }
    }
  }
}

}  // namespace hadal::tidy
