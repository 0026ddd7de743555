// A random walk through a grammar with a small vocabulary.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "grammar/constraint.h"
#include "unit/tokenizer/small_tokenizer.h"

namespace hadal::fuzz {

inline const tokenizer::Tokenizer& walk_tokenizer() {
  static const tokenizer::Tokenizer tokenizer = tokenizer::small_tokenizer();
  return tokenizer;
}

// The tokens that were written, if they came to an end. Aborts at a dead end. Throws Error(limit).
inline std::optional<std::vector<int32_t>> walk(grammar::Grammar grammar, uint64_t seed) {
  const tokenizer::Tokenizer& tokenizer = walk_tokenizer();
  static const auto vocabulary =
      std::make_shared<const grammar::Vocabulary>(tokenizer, tokenizer.size());
  grammar::ConstraintLimits limits;
  limits.steps_max = 100'000;
  grammar::Matcher matcher(
      std::make_shared<grammar::Constraint>(std::move(grammar), vocabulary, limits));
  std::vector<int32_t> written;
  for (uint64_t step = 0; step < 60; ++step) {
    const bool may_end = matcher.may_end();
    if (may_end && (matcher.must_end() || step > 30)) return written;
    const auto mask = matcher.mask();
    std::vector<int32_t> choices;
    for (int32_t id = 0; id < static_cast<int32_t>(tokenizer.size()); ++id)
      if (((*mask)[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0) choices.push_back(id);
    HADAL_CHECK(!choices.empty() || may_end, "a dead end behind {}", tokenizer.decode(written));
    if (choices.empty()) return written;
    const double u = random_uniform(seed, 1, step);
    const int32_t token = choices[static_cast<size_t>(u * static_cast<double>(choices.size()))];
    HADAL_CHECK(matcher.accept(token), "token {} is in the mask, but refused", token);
    written.push_back(token);
  }
  return std::nullopt;
}

}  // namespace hadal::fuzz
