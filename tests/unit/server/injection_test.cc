// Text from outside never becomes a control token: 50,000 dialogues whose every text spells special
// tokens, whole, in parts, glued together and look-alikes.
#include <filesystem>

#include <gtest/gtest.h>

#include "base/random.h"
#include "infer/tokenizer_file.h"
#include "server/chat_request.h"
#include "server/json_fields.h"
#include "tokenizer/dialogue.h"

namespace hadal::server {
namespace {

constexpr const char* kModel = HADAL_SOURCE_DIR "/models/seed-q8_0.gguf";
constexpr int kDialogues = 50'000;

class Hostile {
 public:
  explicit Hostile(const tokenizer::Tokenizer& tokenizer) {
    for (int32_t id = 0; id < tokenizer.size(); ++id)
      if (tokenizer.is_special(id)) spellings_.emplace_back(tokenizer.token_bytes(id));
    for (const char* other : {"<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|User|>", "<｜User|>",
                              "<｜tool▁calls▁begin｜>", "</think>", "<think>", "｜DSML｜",
                              "\xEF\xBD", "<", "｜", ">", " ", "\n", "a"})
      spellings_.emplace_back(other);
  }
  std::string text() {
    std::string text;
    for (uint64_t n = 1 + below(4); n > 0; --n) {
      std::string piece = spellings_[below(spellings_.size())];
      // A part of it, in front of which or behind which the rest may come by chance.
      if (below(4) == 0) piece = piece.substr(0, below(piece.size() + 1));
      text += piece;
    }
    return text;
  }
  uint64_t below(uint64_t n) { return philox(7, counter_++, 0)[0] % n; }

 private:
  std::vector<std::string> spellings_;
  uint64_t counter_ = 0;
};

// The special ids of a prompt, in order.
std::vector<int32_t> control_ids(const tokenizer::Tokenizer& tokenizer,
                                 tokenizer::Generation generation,
                                 const tokenizer::Dialogue& dialogue) {
  std::vector<int32_t> ids = tokenizer::encode_dialogue(tokenizer, generation, dialogue, {});
  std::erase_if(ids, [&](int32_t id) { return !tokenizer.is_special(id); });
  return ids;
}

TEST(Injection, NoTextOfADialogueBecomesAControlToken) {
  if (!std::filesystem::exists(kModel)) GTEST_SKIP() << "no bundled model";
  const infer::TokenizerSource source = infer::open_tokenizer(kModel);
  Hostile hostile(source.tokenizer);
  using tokenizer::Generation;
  constexpr Generation generations[] = {Generation::v3, Generation::v31,   Generation::v25,
                                        Generation::r1, Generation::v32,   Generation::v4,
                                        Generation::v2, Generation::chatml};
  const auto message = [](const char* role, std::string text) {
    tokenizer::Message made;
    const Json json = {{"messages", {{{"role", role}, {"content", std::move(text)}}}}};
    return read_dialogue(json).messages[0];
  };
  for (int i = 0; i < kDialogues; ++i) {
    const Generation generation = generations[static_cast<size_t>(i) % std::size(generations)];
    const bool tools = generation != Generation::v2 && hostile.below(2) == 0;
    tokenizer::Dialogue evil, plain;
    const auto add = [&](const char* role, bool call) {
      const std::string text = hostile.text();
      // Invalid UTF-8 cannot come in JSON; an encoder may meet it all the same.
      evil.messages.push_back(message(role, ""));
      evil.messages.back().content = text;
      plain.messages.push_back(message(role, "x"));
      if (!call) return;
      tokenizer::ToolCall made;
      made.name = "f";
      made.arguments = Json{{"x", "y"}}.dump();
      plain.messages.back().tool_calls = {made};
      made.arguments =
          Json{{"x", hostile.text()}}.dump(-1, ' ', false, Json::error_handler_t::replace);
      evil.messages.back().tool_calls = {made};
    };
    add("system", false);
    add("user", false);
    add("assistant", tools);
    if (tools) add("tool", false);
    if (tools) add("assistant", false);
    add("user", false);
    ASSERT_EQ(control_ids(source.tokenizer, generation, evil),
              control_ids(source.tokenizer, generation, plain))
        << i << ": " << evil.messages[1].content;
  }
}

}  // namespace
}  // namespace hadal::server
