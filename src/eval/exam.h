// Problems put to a model through the engine, many at once, and how many it solves.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/generators.h"
#include "infer/engine.h"

namespace hadal::eval {

// A share with its 95% interval (Wilson 1927), which is right near 0 and 1 too.
struct Share {
  double value = 0, low = 0, high = 1;
};
Share wilson(int64_t right, int64_t asked);

// Problems of one kind and size.
struct ExamCell {
  std::string suite, name;  // "arithmetic", "4*4"; "words", "chain"
  std::vector<data::Problem> problems{};
  bool held_out = true;  // false: too few of them to hold any out, so they may have been trained on
};

struct ExamSize {
  int64_t problems = 200;  // of a cell; fewer where there are no more
  uint64_t seed = 1;
};

// +, - of 1 to 6 digits each; * up to 4 by 4; / up to 6 by 2.
std::vector<ExamCell> arithmetic_cells(const ExamSize& size);
// Word problems, by kind of story.
std::vector<ExamCell> word_cells(const ExamSize& size);
// The other generators whose answers can be checked.
std::vector<ExamCell> skill_cells(const ExamSize& size);

struct ExamResult {
  std::string suite, name;
  bool held_out = true;
  int64_t asked = 0, right = 0;
  int64_t unfinished = 0;  // cut off by the limit of tokens or the context
  double tokens = 0;       // mean of an answer, thought included
  std::string failure{};   // the first wrong answer: question, expected, reply
};

struct ExamOptions {
  tokenizer::Generation generation = tokenizer::Generation::v31;
  std::optional<bool> thinking = true;  // unset: as the generation has it
  int64_t max_tokens = -1;              // of an answer; negative: until the context is full
};

// Greedy answers. `progress` is called with the number of problems answered and may throw to stop.
ExamResult examine(infer::Engine& engine, const ExamCell& cell, const ExamOptions& options,
                   const std::function<void(int64_t)>& progress = {});

}  // namespace hadal::eval
