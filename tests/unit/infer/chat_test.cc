#include "infer/chat.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "unit/infer/tiny_engine.h"

namespace hadal::infer {
namespace {

using testing::tiny_eos;
using testing::tiny_think_end;
using tokenizer::Generation;
using tokenizer::Role;

EngineOptions roomy() {
  EngineOptions options;
  options.context_tokens = 1024;
  options.cache_tokens = 4096;
  return options;
}

ChatOptions greedy(int64_t max_tokens) {
  ChatOptions options;
  options.max_tokens = max_tokens;
  options.sampling.temperature = 0;
  options.sampling.logit_bias = {{tiny_eos, -100.0f}};
  return options;
}

class ChatTest : public ::testing::Test {
 protected:
  static LoadedModel styled(Generation generation) {
    LoadedModel loaded = testing::tiny_loaded();
    loaded.style = tokenizer::DialogueStyle{generation, ""};
    return loaded;
  }
  LoadedModel v3_ = styled(Generation::v3), r1_ = styled(Generation::r1);
  ThreadPool pool_{1};
};

TEST_F(ChatTest, AnswersJoinTheDialogueAndTheNextTurnReusesIt) {
  Engine engine(v3_, pool_, roomy());
  Chat chat(engine, greedy(20));
  chat.add_user("Hello there, this is a question that fills more than one page of the cache.");
  std::string streamed;
  int64_t prompt_done = 0;
  const ChatAnswer first = chat.answer([&](const ChatEvent& event) {
    if (event.kind == ChatEvent::Kind::prompt)
      prompt_done = event.prompt_done;
    else
      streamed += event.delta.text;
    return true;
  });
  EXPECT_EQ(first.reason, FinishReason::length);
  EXPECT_EQ(first.tokens.size(), 20u);
  EXPECT_EQ(prompt_done, first.stats.prompt_tokens);
  EXPECT_EQ(streamed, first.message.content);
  EXPECT_FALSE(streamed.empty());
  EXPECT_EQ(first.message.reasoning_content, "");
  ASSERT_EQ(chat.dialogue().messages.size(), 2u);
  EXPECT_EQ(chat.dialogue().messages[1].role, Role::assistant);
  EXPECT_EQ(chat.dialogue().messages[1].content, streamed);
  chat.add_user("More.");
  const ChatAnswer second = chat.answer();
  EXPECT_EQ(second.stats.cached_tokens, first.stats.prompt_tokens / 64 * 64);
  EXPECT_GT(second.stats.cached_tokens, 0);
}

TEST_F(ChatTest, ThoughtsAreKeptApartAndTheirBudgetHolds) {
  Engine engine(r1_, pool_, roomy());
  ChatOptions options = greedy(30);
  options.sampling.logit_bias.emplace_back(tiny_think_end, -100.0f);
  options.thinking_budget = 5;
  Chat chat(engine, options);
  chat.add_user("Why?");
  std::string reasoning, content;
  const ChatAnswer answer = chat.answer([&](const ChatEvent& event) {
    using Kind = tokenizer::StreamEvent::Kind;
    if (event.kind != ChatEvent::Kind::delta) return true;
    (event.delta.kind == Kind::reasoning ? reasoning : content) += event.delta.text;
    return true;
  });
  EXPECT_EQ(answer.stats.reasoning_tokens, 5);
  EXPECT_EQ(answer.stats.generated_tokens, 30);
  ASSERT_GT(answer.tokens.size(), 8u);
  EXPECT_EQ(answer.tokens[5], tiny_think_end);
  EXPECT_EQ(engine.model().tokenizer->decode(std::span(answer.tokens).subspan(6, 2)), "\n\n");
  EXPECT_EQ(answer.message.reasoning_content, reasoning);
  EXPECT_EQ(answer.message.content, content);
  EXPECT_FALSE(content.empty());
}

TEST_F(ChatTest, ACutAnswerStaysInTheDialogue) {
  Engine engine(v3_, pool_, roomy());
  Chat chat(engine, greedy(50));
  chat.add_user("Hi");
  int deltas = 0;
  const ChatAnswer answer = chat.answer(
      [&](const ChatEvent& event) { return event.kind != ChatEvent::Kind::delta || ++deltas < 4; });
  EXPECT_EQ(answer.reason, FinishReason::cancelled);
  EXPECT_EQ(deltas, 4) << "nothing is told to a client that has had enough";
  EXPECT_EQ(chat.dialogue().messages.size(), 2u);
  EXPECT_LT(answer.tokens.size(), 50u);
}

TEST_F(ChatTest, StopStringsEndTheMessage) {
  Engine engine(v3_, pool_, roomy());
  Chat chat(engine, greedy(40));
  chat.add_user("Hi");
  const std::vector<int32_t> tokens = chat.answer().tokens;
  const std::string whole = engine.model().tokenizer->decode(tokens);
  const std::string stop = whole.substr(10, 2);
  chat.dialogue().messages.pop_back();
  chat.options().stop = {stop};
  std::string expected;
  tokenizer::Utf8Buffer utf8;
  utf8.push(whole.substr(0, whole.find(stop)), expected);
  utf8.flush(expected);
  EXPECT_EQ(chat.answer().message.content, expected);
}

TEST_F(ChatTest, AFailureLeavesTheDialogueAlone) {
  Engine engine(v3_, pool_, roomy());
  Chat chat(engine, greedy(5));
  chat.add_user(std::string(2000, 'x'));
  EXPECT_THROW(chat.answer(), Error);
  EXPECT_EQ(chat.dialogue().messages.size(), 1u);
}

TEST_F(ChatTest, TheSystemTextIsReplacedAndRemoved) {
  Engine engine(v3_, pool_, roomy());
  Chat chat(engine, greedy(5));
  chat.add_user("Hi");
  chat.set_system("Be brief.");
  chat.set_system("Be kind.");
  ASSERT_EQ(chat.dialogue().messages.size(), 2u);
  EXPECT_EQ(chat.dialogue().messages[0].role, Role::system);
  EXPECT_EQ(chat.dialogue().messages[0].content, "Be kind.");
  const std::string prompt = engine.model().tokenizer->decode(chat.prompt());
  EXPECT_NE(prompt.find("Be kind."), std::string::npos);
  chat.set_system("");
  chat.set_system("");
  ASSERT_EQ(chat.dialogue().messages.size(), 1u);
  EXPECT_EQ(chat.dialogue().messages[0].role, Role::user);
}

TEST_F(ChatTest, ModelsWithoutDialogueFormAreRefusedUnlessOneIsNamed) {
  const LoadedModel base = testing::tiny_loaded();
  Engine engine(base, pool_, roomy());
  EXPECT_THROW(Chat(engine, greedy(5)), Error);
  ChatOptions options = greedy(5);
  options.generation = Generation::chatml;
  Chat chat(engine, options);
  chat.add_user("Hi");
  EXPECT_EQ(chat.answer().tokens.size(), 5u);
  options.encode.thinking = true;
  EXPECT_THROW(Chat(engine, options), Error) << "ChatML does not think";
  LoadedModel mute = testing::tiny_loaded();
  mute.tokenizer.reset();
  Engine ids_only(mute, pool_, roomy());
  EXPECT_THROW(Chat(ids_only, greedy(5)), Error);
}

TEST_F(ChatTest, MarkersComeFromTheVocabulary) {
  const Thinking r1 = thinking_markers(*r1_.tokenizer, Generation::r1, true);
  EXPECT_TRUE(r1.starts_inside);
  EXPECT_EQ(r1.close_id, tiny_think_end);
  EXPECT_EQ(r1.close.size(), 3u);  // and two line feeds
  EXPECT_EQ(r1.close_text, "");
  const Thinking v3 = thinking_markers(*v3_.tokenizer, Generation::v3, false);
  EXPECT_EQ(v3.close_id, -1);
  EXPECT_TRUE(v3.close.empty());
}

}  // namespace
}  // namespace hadal::infer
