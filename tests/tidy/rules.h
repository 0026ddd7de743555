// The rules of ARCHITECTURE.md that a program can check.
#pragma once

#include <string>
#include <vector>

#include "tidy/source.h"

namespace hadal::tidy {

struct Violation {
  std::string path;
  size_t line;  // from 1; 0 when the whole file is meant
  std::string message;
};

using Violations = std::vector<Violation>;

// Includes follow the arrows between the folders of src/, and the libraries that CMake links
// (src/*/CMakeLists.txt) do too; every folder of src/ is in src/CMakeLists.txt and the reverse.
void check_layers(const std::vector<Source>& sources, Violations& out);

// Files of an instruction set include headers of kernels/ itself, intrinsics and plain C headers
// alone; and so do all project headers that they reach.
void check_instruction_sets(const std::vector<Source>& sources, Violations& out);

// Files of at most 600 lines, lines of at most 100 columns, functions of at most 70 lines outside
// src/kernels (90 in tests). A file that begins with "// Generated" may be longer, and so may a
// line that is one raw string.
void check_sizes(const std::vector<Source>& sources, Violations& out);

// No drawers called "utils", no notes of work left undone, no tabs, no trailing blanks, #pragma
// once in headers, and no paths that exist on one developer's machine only.
void check_text(const std::vector<Source>& sources, Violations& out);

Violations check_all(const std::vector<Source>& sources);

}  // namespace hadal::tidy
