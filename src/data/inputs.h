// What commands take documents from: files, and generators by name.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/documents.h"
#include "data/generators.h"

namespace hadal::data {

// One input: a file of documents, or "generate:KIND:COUNT[:FIRST]", the problems number FIRST (0)
// to FIRST + COUNT - 1 of a generator.
struct Input {
  std::string spec;
  const Generator* generator = nullptr;  // nullptr: a file
  uint64_t count = 0, first = 0;
};

// Throws Error(usage) for a malformed spec, Error(file) for a file that is not there.
Input parse_input(const std::string& spec);

struct InputOptions {
  uint64_t seed = 0;  // of generators
  Part part = Part::train;
};

// Calls `take` for the documents of that part, in order; `progress`, if given, gets the share of
// the input that is done, 0 to 1.
void read_input(const Input& input, const InputOptions& options, const TakeDocument& take,
                const std::function<void(double)>& progress = {});

// XXH3 of a file's bytes.
uint64_t file_hash(const std::string& path);

}  // namespace hadal::data
