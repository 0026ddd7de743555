// What the table measures: the targets that Hadal has set itself.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace hadal::bench {

enum class Kind {
  prefill,      // tokens/s of a prompt of `tokens`
  decode,       // tokens/s of `batch` sequences that generate `tokens` each
  first_token,  // seconds from the program's start to the first token after a prompt of `tokens`
  memory,       // bytes that are not mapped from the file, at `tokens` of context
  disturbed,    // decode with a busy foreign process on one core, as a share of undisturbed decode
};

struct Work {
  std::string_view id;     // "v2lite-q4km decode"
  std::string_view model;  // a ModelFile's name
  Kind kind;
  int64_t tokens;
  int64_t depth = 0;
  int64_t batch = 1;
  // The targets where the processor has AMX, and elsewhere: a share of the ceiling and a multiple
  // of the better peer, or what else the row counts.
  std::string_view target_amx;
  std::string_view target_other;
};
std::span<const Work> all_work();
// Nullptr if there is no such row.
const Work* find_work(std::string_view id);

// A model of random weights: `hadal synth SHAPE --type TYPE -o NAME`.
struct ModelFile {
  std::string_view name;  // "v2lite-q4km.gguf"; without .gguf a folder
  std::string_view shape;
  std::string_view type;
  bool integer;  // products of its matrices are integer ones
};
const ModelFile& model_file(std::string_view name);

}  // namespace hadal::bench
