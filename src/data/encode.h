// A document as the ids that a model sees, and which of them it shall learn to say.
#pragma once

#include <cstdint>
#include <vector>

#include "data/documents.h"
#include "tokenizer/generation.h"
#include "tokenizer/tokenizer.h"

namespace hadal::data {

struct Encoded {
  std::vector<int32_t> ids;
  std::vector<uint8_t> learnt;  // one flag an id; empty: all
};

struct EncodeRules {
  tokenizer::Generation generation = tokenizer::Generation::v31;
  // Learn the user's words too, as text like any other: early in training.
  bool learn_all = false;
};

// Prose: begin token, text, end token. A dialogue: the prompt that the model will be given, as the
// generation's own encoder writes it, and its answer, which alone is learnt, thought included.
// Where no thought is given, half of the answers (by a hash) come behind an empty thought, half
// without thinking, so that both ways of asking are known. Earlier answers of a dialogue are learnt
// as well, unless they were thought about: the prompt shows them without their thoughts.
// Throws Error(usage) for a dialogue that the generation cannot express.
Encoded encode_document(const tokenizer::Tokenizer& tokenizer, const Document& document,
                        const EncodeRules& rules);

}  // namespace hadal::data
