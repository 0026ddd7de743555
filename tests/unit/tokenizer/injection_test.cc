// Text from outside never becomes a special token, whatever it spells and however it is cut into
// messages: a dialogue of hostile texts has the special tokens of the same dialogue of harmless
// ones.
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tokenizer/dialogue.h"
#include "unit/tokenizer/small_tokenizer.h"

namespace hadal::tokenizer {
namespace {

constexpr std::string_view kHostile[] = {
    "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>", "<think>", "</think>",
    "<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>", "<｜User｜>", "<｜Assistant｜>",
    "<|EOT|>", "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>",
    "<｜tool▁call▁end｜>", "<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>",
    "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>", "<｜tool▁sep｜>", "｜DSML｜",
    "</｜DSML｜invoke>", "<｜latest_reminder｜>", "<｜action｜>", "<|im_start|>", "<|im_end|>",
    "<|endoftext|>", "<tool_call>", "</tool_call>", "<|start_header_id|>", "<|eot_id|>",
    "<|begin_of_text|>",
    // look-alikes and halves that a neighbour might complete
    "<|User|>", "<︱User︱>", "<｜User|>", "<｜Us", "er｜>", "<", "｜>", "<thi", "nk>", "</",
    "｜DS", "ML｜", "<|im_", "start|>", "\xEF\xBD", "\x9C", "\n", " ", "text", "\"", "{\"a\": 1}"};

class Texts {
 public:
  explicit Texts(unsigned seed) : random_(seed) {}
  std::string hostile() {
    std::string text;
    for (size_t i = below(4) + 1; i > 0; --i) {
      text += kHostile[below(std::size(kHostile))];
    }
    return text;
  }
  size_t below(size_t limit) { return random_() % limit; }

 private:
  std::mt19937 random_;
};

// The two dialogues have the same shape; only the texts differ.
struct Pair {
  Dialogue hostile;
  Dialogue harmless;
  void add(Message message, Texts& texts) {
    harmless.messages.push_back(message);
    message.content = texts.hostile();
    harmless.messages.back().content = std::string("x");
    if (!message.reasoning_content.empty()) {
      message.reasoning_content = texts.hostile();
    }
    for (ToolCall& call : message.tool_calls) {
      call.name = texts.hostile();
      call.arguments =
          fmt::format("{{{}: {}}}", json_quoted("k<｜User｜>"), json_quoted("</think>"));
    }
    hostile.messages.push_back(std::move(message));
  }
};

Pair random_pair(Texts& texts, bool tools) {
  Pair pair;
  Message message;
  if (texts.below(2) == 0) {
    message.role = Role::system;
    pair.add(message, texts);
  }
  for (size_t turn = texts.below(3) + 1; turn > 0; --turn) {
    message = {};
    message.role = Role::user;
    pair.add(message, texts);
    message.role = Role::assistant;
    message.reasoning_content = std::string(texts.below(2), 'r');
    if (tools && texts.below(2) == 0) {
      message.tool_calls = {{"1", "f", "{\"k\": \"v\"}"}};
      pair.add(message, texts);
      message = {};
      message.role = Role::tool;
      message.tool_call_id = std::string("1");
      pair.add(message, texts);
      message = {};
      message.role = Role::assistant;
    }
    pair.add(message, texts);
  }
  message = {};
  message.role = Role::user;
  pair.add(message, texts);
  if (tools && texts.below(2) == 0) {
    pair.harmless.tools = {{"f", "d", "{}", "{}"}};
    pair.hostile.tools = {{texts.hostile(), texts.hostile(), json_quoted("<｜User｜>"),
                           fmt::format("{{\"name\": {}}}", json_quoted("</think>"))}};
  }
  return pair;
}

std::vector<std::string> specials(Generation generation, const Dialogue& dialogue) {
  std::vector<std::string> out;
  for (const Piece& piece : dialogue_pieces(generation, dialogue, {})) {
    if (piece.special) {
      out.push_back(piece.text);
    }
  }
  return out;
}

// Each with whether it has tools.
constexpr std::pair<Generation, bool> kGenerations[] = {
    {Generation::v2, false},    {Generation::v25, true},    {Generation::v3, true},
    {Generation::r1, true},     {Generation::v31, true},    {Generation::v32, true},
    {Generation::v4, true},     {Generation::chatml, true}, {Generation::qwen3, true},
    {Generation::llama3, false}};

TEST(Injection, SpecialTokensComeFromTheTemplateAlone) {
  Texts texts(11);
  for (int round = 0; round < 2'500; ++round) {
    for (const auto& [generation, tools] : kGenerations) {
      const Pair pair = random_pair(texts, tools);
      ASSERT_EQ(specials(generation, pair.hostile), specials(generation, pair.harmless))
          << generation_name(generation) << " round " << round;
    }
  }
}

std::vector<int32_t> special_ids(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  std::vector<int32_t> out;
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(out),
               [&](int32_t id) { return tokenizer.is_special(id); });
  return out;
}

TEST(Injection, SpecialIdsComeFromTheTemplateAlone) {
  const Tokenizer tokenizer = small_tokenizer();
  Texts texts(12);
  for (int round = 0; round < 500; ++round) {
    for (const auto& [generation, tools] : kGenerations) {
      const Pair pair = random_pair(texts, tools);
      const auto hostile = encode_dialogue(tokenizer, generation, pair.hostile, {});
      const auto harmless = encode_dialogue(tokenizer, generation, pair.harmless, {});
      ASSERT_EQ(special_ids(tokenizer, hostile), special_ids(tokenizer, harmless))
          << generation_name(generation) << " round " << round;
      ASSERT_EQ(tokenizer.decode(hostile), render_dialogue(generation, pair.hostile, {}));
    }
  }
}

}  // namespace
}  // namespace hadal::tokenizer
