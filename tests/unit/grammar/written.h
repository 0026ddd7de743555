// What tests ask of a grammar: whether it takes a text, byte by byte.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "grammar/constraint.h"
#include "unit/tokenizer/small_tokenizer.h"

namespace hadal::grammar {

inline std::shared_ptr<const Vocabulary> small_vocabulary() {
  static const tokenizer::Tokenizer tokenizer = tokenizer::small_tokenizer();
  // Some rows of padding, as models have them.
  static const auto vocabulary = std::make_shared<Vocabulary>(tokenizer, tokenizer.size() + 70);
  return vocabulary;
}

inline std::shared_ptr<const Constraint> constraint_of(Grammar grammar,
                                                       const ConstraintLimits& limits = {}) {
  return std::make_shared<Constraint>(std::move(grammar), small_vocabulary(), limits);
}

enum class Taken { whole, begun, refused };

inline Taken take(const std::shared_ptr<const Constraint>& constraint, std::string_view text) {
  Matcher matcher(constraint);
  if (!matcher.accept_text(text)) return Taken::refused;
  return matcher.may_end() ? Taken::whole : Taken::begun;
}

template <typename F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace hadal::grammar
