// Ids to events: special tokens act by id, and the cut of the stream does not matter.
#include "tokenizer/stream_parser.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "tokenizer/dialogue.h"
#include "unit/tokenizer/small_tokenizer.h"

namespace hadal::tokenizer {
namespace {

using Kind = StreamEvent::Kind;

// Joined: one event per run of the same kind.
std::vector<StreamEvent> joined(const std::vector<StreamEvent>& events) {
  std::vector<StreamEvent> out;
  for (const StreamEvent& event : events) {
    const bool delta = event.kind == Kind::reasoning || event.kind == Kind::content ||
                       event.kind == Kind::call_arguments;
    if (delta && !out.empty() && out.back().kind == event.kind && out.back().call == event.call) {
      out.back().text += event.text;
    } else {
      out.push_back(event);
    }
  }
  return out;
}

std::string printed(const std::vector<StreamEvent>& events) {
  std::string out;
  for (const StreamEvent& event : joined(events)) {
    out += std::to_string(static_cast<int>(event.kind)) + "(" + event.text + ")" +
           std::to_string(event.call) + (event.valid ? "" : "!") + ";";
  }
  return out;
}

std::string parsed(const Tokenizer& tokenizer, Generation generation, bool thinking,
                   const std::vector<int32_t>& ids) {
  StreamParser parser(tokenizer, generation, thinking);
  std::vector<StreamEvent> events;
  const auto take = [&](const std::vector<StreamEvent>& more) {
    events.insert(events.end(), more.begin(), more.end());
  };
  for (int32_t id : ids) {
    take(parser.push(id));
  }
  take(parser.finish());
  return printed(events);
}

std::vector<int32_t> bytes_as_ids(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> out;
  for (char c : text) {
    out.push_back(tokenizer.encode({&c, 1})[0]);
  }
  return out;
}

TEST(StreamParser, ThoughtThenAnswer) {
  const Tokenizer t = small_tokenizer();
  const auto ids =
      t.encode_with_special("Let me see.\n</think>\n\nIt is 12.<｜end▁of▁sentence｜>junk");
  EXPECT_EQ(parsed(t, Generation::r1, true, ids), "0(Let me see.)0;1(It is 12.)0;");
}

TEST(StreamParser, SpelledMarkersStayTextWhereTheVocabularyHasThem) {
  const Tokenizer t = small_tokenizer();
  const std::string text = "a </think> b <｜tool▁calls▁begin｜> c";
  EXPECT_EQ(parsed(t, Generation::v31, false, t.encode(text)), "1(" + text + ")0;");
}

TEST(StreamParser, ToolCallById) {
  const Tokenizer t = small_tokenizer();
  const auto ids = t.encode_with_special(
      "Wait.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{\"a\": "
      "1}<｜tool▁call▁end｜>"
      "<｜tool▁calls▁end｜><｜end▁of▁sentence｜>");
  EXPECT_EQ(parsed(t, Generation::v31, false, ids), "1(Wait.)0;2(add)0;3({\"a\": 1})0;4()0;");
}

TEST(StreamParser, OtherSpecialTokensAreNotShown) {
  const Tokenizer t = small_tokenizer();
  EXPECT_EQ(parsed(t, Generation::v3, false, t.encode_with_special("a<｜place▁holder｜>b")),
            "1(ab)0;");
}

TEST(StreamParser, NothingComesAfterAnEnd) {
  const Tokenizer t = small_tokenizer();
  for (int32_t id : answer_end_ids(t)) {
    StreamParser parser(t, Generation::v3, false);
    const auto events = parser.push_text("before");
    EXPECT_EQ(printed(events), "1(before)0;");
    parser.push(id);
    EXPECT_TRUE(parser.push_text("behind").empty());
    EXPECT_TRUE(parser.finish().empty());
  }
  const auto ends = answer_end_ids(t);
  for (const char* text : {"<｜end▁of▁sentence｜>", "<｜User｜>", "<|im_end|>", "<|eot_id|>"}) {
    EXPECT_TRUE(std::binary_search(ends.begin(), ends.end(), t.special_id(text).value())) << text;
  }
}

TEST(StreamParser, IdsOutsideTheVocabularyAreNothing) {
  const Tokenizer t = small_tokenizer();
  EXPECT_EQ(parsed(t, Generation::v3, false, {'a', -5, 1 << 30, t.size(), 'b'}), "1(ab)0;");
}

TEST(StreamParser, AnotherWayToCutTheSameTextGivesTheSame) {
  const Tokenizer t = small_tokenizer();
  const std::vector<std::string> parts = {"hello ",
                                          "深度",
                                          "😀",
                                          "\xE6\xB7",
                                          "\xFF",
                                          "<",
                                          "</",
                                          "think",
                                          ">",
                                          "\n\n",
                                          "```",
                                          "json\n",
                                          "{\"a\": \"",
                                          "\"}",
                                          "<｜DSML｜",
                                          "invoke name=\"f\">",
                                          "</｜DSML｜invoke>",
                                          "<tool_call>",
                                          "</tool_call>",
                                          "function",
                                          "\n"};
  const std::vector<std::string> specials = {"<think>",
                                             "</think>",
                                             "<｜tool▁calls▁begin｜>",
                                             "<｜tool▁calls▁end｜>",
                                             "<｜tool▁call▁begin｜>",
                                             "<｜tool▁call▁end｜>",
                                             "<｜tool▁sep｜>",
                                             "｜DSML｜",
                                             "<tool_call>",
                                             "</tool_call>",
                                             "<｜place▁holder｜>"};
  const Generation generations[] = {Generation::v2,     Generation::v3,   Generation::r1,
                                    Generation::v31,    Generation::v32,  Generation::v4,
                                    Generation::chatml, Generation::qwen3};
  uint64_t draw = 0;
  const auto pick = [&](size_t count) {
    return static_cast<size_t>(random_uniform(3, 0, draw++) * static_cast<double>(count));
  };
  for (int trial = 0; trial < 600; ++trial) {
    std::vector<int32_t> merged;  // runs of text encoded as a whole
    std::vector<int32_t> single;  // text as single bytes
    std::string text;
    const auto put_text = [&] {
      for (int32_t id : t.encode(text)) {
        merged.push_back(id);
      }
      for (int32_t id : bytes_as_ids(t, text)) {
        single.push_back(id);
      }
      text.clear();
    };
    for (size_t length = pick(30); length > 0; --length) {
      if (pick(4) != 0) {
        text += parts[pick(parts.size())];
        continue;
      }
      put_text();
      const int32_t id = t.special_id(specials[pick(specials.size())]).value();
      merged.push_back(id);
      single.push_back(id);
    }
    put_text();
    for (Generation generation : generations) {
      for (bool thinking : {false, true}) {
        ASSERT_EQ(parsed(t, generation, thinking, merged), parsed(t, generation, thinking, single));
      }
    }
  }
}

// What the encoder writes as an answer, the parser reads back.
TEST(StreamParser, ReadsWhatTheEncoderWrites) {
  const Tokenizer t = small_tokenizer();
  Message user;
  user.content = "7 + 5?";
  Message answer;
  answer.role = Role::assistant;
  answer.content = "Twelve <｜User｜> hello";
  const EncodeOptions options;
  for (Generation generation : {Generation::v3, Generation::v31, Generation::v4}) {
    const bool thinking = starts_thinking(generation, {{user}, {}}, options);
    const auto prompt = encode_dialogue(t, generation, {{user}, {}}, options);
    if (thinking) {
      continue;  // the encoder drops thoughts that it would have to read back
    }
    auto whole = encode_dialogue(t, generation, {{user, answer}, {}}, options);
    ASSERT_GT(whole.size(), prompt.size());
    ASSERT_TRUE(std::equal(prompt.begin(), prompt.end(), whole.begin()));
    whole.erase(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(prompt.size()));
    EXPECT_EQ(parsed(t, generation, false, whole), "1(Twelve <｜User｜> hello)0;");
  }
}

}  // namespace
}  // namespace hadal::tokenizer
