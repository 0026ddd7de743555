#include "data/encode.h"

#include <algorithm>
#include <utility>

#include <xxhash.h>

#include "base/error.h"

namespace hadal::data {
namespace {

using tokenizer::Dialogue;
using tokenizer::EncodeOptions;
using tokenizer::Message;
using tokenizer::Role;
using tokenizer::ThinkingSupport;
using tokenizer::Tokenizer;

std::optional<bool> thinking_of(const Message& answer, tokenizer::Generation generation) {
  const ThinkingSupport support = tokenizer::thinking_support(generation);
  if (support == ThinkingSupport::never || support == ThinkingSupport::always) return std::nullopt;
  if (!answer.reasoning_content.empty()) return true;
  return XXH3_64bits(answer.content.data(), answer.content.size()) % 2 == 0;
}

// Marks the earlier answers: what stands from an assistant's token to the end token.
void mark_history(const Tokenizer& tokenizer, const Dialogue& dialogue, size_t prompt,
                  Encoded& out) {
  const auto assistant = tokenizer.special_id("<｜Assistant｜>");
  const auto close = tokenizer.special_id("</think>");
  if (!assistant) return;
  auto message = dialogue.messages.begin();
  for (size_t i = 0; i + 1 < prompt; ++i) {
    if (out.ids[i] != *assistant) continue;
    message = std::find_if(message, dialogue.messages.end() - 1,
                           [](const Message& m) { return m.role == Role::assistant; });
    if (message == dialogue.messages.end() - 1) return;
    const bool learnt = message->reasoning_content.empty();
    ++message;
    ++i;
    if (i < prompt && close && out.ids[i] == *close) ++i;
    for (; i < prompt; ++i) {
      out.learnt[i] = learnt ? 1 : 0;
      if (out.ids[i] == tokenizer.eos_id()) break;
    }
  }
}

Encoded encode_dialogue(const Tokenizer& tokenizer, const Dialogue& dialogue,
                        const EncodeRules& rules) {
  Dialogue whole = dialogue;
  whole.messages.back().prefix = true;  // open: it ends below
  EncodeOptions options;
  options.thinking = thinking_of(dialogue.messages.back(), rules.generation);
  Encoded out;
  out.ids = tokenizer::encode_dialogue(tokenizer, rules.generation, whole, options);
  whole.messages.pop_back();
  const std::vector<int32_t> prompt =
      tokenizer::encode_dialogue(tokenizer, rules.generation, whole, options);
  // A prompt that ends in plain text may continue in the same token.
  const auto differs = std::mismatch(prompt.begin(), prompt.end(), out.ids.begin(), out.ids.end());
  const auto known = static_cast<size_t>(differs.first - prompt.begin());
  if (tokenizer.eos_id() >= 0) out.ids.push_back(tokenizer.eos_id());
  if (rules.learn_all) return out;
  out.learnt.assign(out.ids.size(), 0);
  std::fill(out.learnt.begin() + static_cast<ptrdiff_t>(known), out.learnt.end(), uint8_t{1});
  mark_history(tokenizer, dialogue, known, out);
  return out;
}

}  // namespace

Encoded encode_document(const Tokenizer& tokenizer, const Document& document,
                        const EncodeRules& rules) {
  if (document.dialogue) {
    HADAL_CHECK(!document.dialogue->messages.empty(), "a dialogue without messages");
    return encode_dialogue(tokenizer, *document.dialogue, rules);
  }
  Encoded out;
  if (tokenizer.bos_id() >= 0) out.ids.push_back(tokenizer.bos_id());
  const std::vector<int32_t> text = tokenizer.encode(document.text);
  out.ids.insert(out.ids.end(), text.begin(), text.end());
  if (tokenizer.eos_id() >= 0) out.ids.push_back(tokenizer.eos_id());
  return out;
}

}  // namespace hadal::data
