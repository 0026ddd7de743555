// A grammar for one vocabulary: which tokens may come next. The sampler sets the logits of all
// others to -infinity, so what is generated follows the grammar whatever the model wants.
//
// A Constraint is made once and used by any number of answers at once, on any threads: what was
// found out about a state (its mask, where a byte leads) is kept for all of them, within a bound.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/grammar.h"
#include "grammar/vocabulary.h"

namespace hadal::grammar {

struct ConstraintLimits {
  int64_t cache_bytes = int64_t{48} << 20;  // of states and masks that are kept
  int64_t items_max = 20'000;               // ways to read what was written, at once
  int64_t steps_max = 4'000'000;            // of work for one mask: some 20 ms
};

// One bit for each token: word i/64, bit i%64.
using TokenMask = std::vector<uint64_t>;

class Constraint {
 public:
  // description: what whoever made the grammar needs to make it again. Throws Error(limit) if the
  // grammar's beginning is too ambiguous.
  Constraint(Grammar grammar, std::shared_ptr<const Vocabulary> vocabulary,
             const ConstraintLimits& limits = {}, std::string description = "");
  ~Constraint();
  Constraint(const Constraint&) = delete;
  Constraint& operator=(const Constraint&) = delete;

  const Vocabulary& vocabulary() const { return *vocabulary_; }
  const std::string& description() const { return description_; }
  int64_t bytes() const;  // of the rules, about, and the most that is kept of states

 private:
  friend class Matcher;
  struct Impl;
  std::shared_ptr<const Vocabulary> vocabulary_;
  std::string description_;
  std::unique_ptr<Impl> impl_;
};

class Arena;

// Where one answer stands in its constraint. A value: a copy stands where the original stood.
class Matcher {
 public:
  explicit Matcher(std::shared_ptr<const Constraint> constraint);

  // The tokens that may come next, without those that end the answer. If no bit is set, nothing can
  // follow. Throws Error(limit) if the grammar is so ambiguous that this takes too much work.
  std::shared_ptr<const TokenMask> mask();
  // Takes a token. False, and nothing changes, if the grammar forbids it. Throws as mask().
  bool accept(int32_t token);
  bool accept_text(std::string_view bytes);
  bool may_end() const;   // what was taken is a whole answer
  bool must_end() const;  // and nothing can follow it

 private:
  bool take_bytes(std::string_view bytes);
  void renew_arena();

  std::shared_ptr<const Constraint> constraint_;
  std::shared_ptr<Arena> arena_;
  int32_t node_ = 0;
};

}  // namespace hadal::grammar
