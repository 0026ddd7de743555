#include "tokenizer/stream_markup.h"

#include <random>

#include <gtest/gtest.h>

namespace hadal::tokenizer {
namespace {

struct Vocabulary {
  bool think = true;
  bool dsml = true;
};

std::array<bool, kMarkerCount> tokens(Vocabulary vocabulary) {
  std::array<bool, kMarkerCount> out{};
  out.fill(true);
  out[static_cast<size_t>(Marker::think_open)] = vocabulary.think;
  out[static_cast<size_t>(Marker::think_close)] = vocabulary.think;
  out[static_cast<size_t>(Marker::dsml)] = vocabulary.dsml;
  return out;
}

// A stream in one line: "R[...]" reasoning, "C[...]" content, "F(name)[arguments]" call.
struct Collected {
  std::string reasoning;
  std::string content;
  std::string calls;

  void add(const std::vector<StreamEvent>& events) {
    for (const StreamEvent& event : events) {
      switch (event.kind) {
        case StreamEvent::Kind::reasoning:
          reasoning += event.text;
          break;
        case StreamEvent::Kind::content:
          content += event.text;
          break;
        case StreamEvent::Kind::call_begin:
          calls += event.text + "(";
          break;
        case StreamEvent::Kind::call_arguments:
          calls += event.text;
          break;
        case StreamEvent::Kind::call_end:
          calls += event.valid ? ")" : ")!";
          break;
      }
    }
  }
  std::string line() const { return "R[" + reasoning + "]C[" + content + "]" + calls; }
};

struct Item {
  std::string text;  // if not empty
  Marker marker = Marker::other;
};

// Cuts text at the spelt tokens that the vocabulary has.
std::vector<Item> items(std::string_view text, Vocabulary vocabulary) {
  const auto is_token = tokens(vocabulary);
  std::vector<Item> out;
  std::string plain;
  while (!text.empty()) {
    bool found = false;
    for (size_t i = 0; i < kMarkerCount && !found; ++i) {
      const auto marker = static_cast<Marker>(i);
      std::string_view spelt = marker == Marker::end ? "<end>" : marker_text(marker);
      if (!spelt.empty() && is_token[i] && text.starts_with(spelt)) {
        out.push_back({std::exchange(plain, {}), Marker::other});
        out.push_back({{}, marker});
        text.remove_prefix(spelt.size());
        found = true;
      }
    }
    if (!found) {
      plain += text.front();
      text.remove_prefix(1);
    }
  }
  out.push_back({plain, Marker::other});
  return out;
}

template <typename Cut>
std::string parse(Generation generation, bool thinks, const std::vector<Item>& stream,
                  Vocabulary vocabulary, Cut cut) {
  MarkupParser parser(generation, thinks, tokens(vocabulary));
  Collected all;
  for (const Item& item : stream) {
    if (item.text.empty()) {
      all.add(item.marker == Marker::other ? std::vector<StreamEvent>{}
                                           : parser.push_marker(item.marker));
      continue;
    }
    for (size_t at = 0; at < item.text.size();) {
      const size_t length = std::min(cut(), item.text.size() - at);
      all.add(parser.push_text(std::string_view(item.text).substr(at, length)));
      at += length;
    }
  }
  all.add(parser.finish());
  return all.line();
}

std::string whole(Generation generation, bool thinks, std::string_view text, Vocabulary v = {}) {
  const auto stream = items(text, v);
  const std::string once = parse(generation, thinks, stream, v, [] { return size_t{1} << 30; });
  EXPECT_EQ(parse(generation, thinks, stream, v, [] { return size_t{1}; }), once) << text;
  return once;
}

constexpr std::string_view kV32Call =
    "why</think>Let me see.\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"f\">\n"
    "<｜DSML｜parameter name=\"s\" string=\"true\">a \"b\"\n </｜DSML｜parameter>\n"
    "<｜DSML｜parameter name=\"n\" string=\"false\">[1, 2]</｜DSML｜parameter>\n"
    "</｜DSML｜invoke>\n<｜DSML｜invoke name=\"g\">\n\n</｜DSML｜invoke>\n"
    "</｜DSML｜function_calls><end>";

TEST(StreamMarkup, ThoughtAndAnswer) {
  EXPECT_EQ(whole(Generation::r1, true, "\nHm, 1.\n</think>\n\nOne <b>é</b>.<end>rest"),
            "R[Hm, 1.]C[One <b>é</b>.]");
  EXPECT_EQ(whole(Generation::v31, true, "a\n</think>b"), "R[a\n]C[b]");
  EXPECT_EQ(whole(Generation::v31, false, "plain"), "R[]C[plain]");
  EXPECT_EQ(whole(Generation::qwen3, false, "<think>\nx\n</think>\n\ny", {false, true}),
            "R[x]C[y]");
  EXPECT_EQ(whole(Generation::qwen3, false, "say <think> now", {false, true}),
            "R[]C[say <think> now]");
}

TEST(StreamMarkup, CallsOfTheV3Line) {
  EXPECT_EQ(whole(Generation::v3, false,
                  "Hi<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n"
                  "{\"a\": \"\n```\nx\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function"
                  "<｜tool▁sep｜>g\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜><end>"),
            "R[]C[Hi]f({\"a\": \"\n```\nx\"})!g({})");
  EXPECT_EQ(whole(Generation::v31, false,
                  "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": 1}"
                  "<｜tool▁call▁end｜><｜tool▁call▁begin｜>g<｜tool▁sep｜>{\"b\""),
            "R[]C[]f({\"a\": 1})g({\"b\")!");
}

TEST(StreamMarkup, DsmlCalls) {
  for (const bool dsml : {true, false}) {
    for (const Generation g : {Generation::v32, Generation::v4}) {
      EXPECT_EQ(whole(g, true, kV32Call, {true, dsml}),
                "R[why]C[Let me see.]f({\"s\": \"a \\\"b\\\"\\n \", \"n\": [1, 2]})g({})");
    }
  }
  EXPECT_EQ(whole(Generation::v4, false, "x<｜DSML｜nonsense>y</｜DSML｜invoke>z<｜DSML｜inv"),
            "R[]C[xyz]");
}

TEST(StreamMarkup, ChatMlCalls) {
  EXPECT_EQ(whole(Generation::chatml, false,
                  "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1]}}\n</tool_call>\n"),
            "R[]C[]f({\"a\": [1]})");
  EXPECT_EQ(whole(Generation::chatml, false, "a<tool_call>{nonsense</tool_call>b"), "R[]C[ab]");
  EXPECT_EQ(whole(Generation::chatml, false, "a<tool_call>" + std::string(200'000, '[')),
            "R[]C[a]");
}

TEST(StreamMarkup, BrokenUtf8NeverPassesAndForgesNoMarker) {
  EXPECT_EQ(whole(Generation::v31, true, "a\xF6\xC0\xE4\xBD"),
            "R[a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD]C[]");
  EXPECT_EQ(whole(Generation::v3, false, "\xED\xA0\x80"),
            "R[]C[\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD]");
}

TEST(StreamMarkup, TokensCountByIdNotBySpelling) {
  MarkupParser parser(Generation::r1, true, tokens({}));
  Collected all;
  all.add(parser.push_text("they wrote </think> and <｜tool▁calls▁begin｜>"));
  all.add(parser.finish());
  EXPECT_EQ(all.line(), "R[they wrote </think> and <｜tool▁calls▁begin｜>]C[]");
}

// Random markup soup: equal however it is cut, and no marker or broken text comes out.
TEST(StreamMarkup, CutsDoNotMatter) {
  constexpr std::string_view kParts[] = {"<think>",
                                         "</think>",
                                         "｜DSML｜",
                                         "<｜DSML｜",
                                         "</｜DSML｜",
                                         "function_calls>",
                                         "tool_calls>",
                                         "invoke name=\"f\">",
                                         "invoke>",
                                         "parameter name=\"p\" string=\"true\">",
                                         "parameter>",
                                         "parameter name=\"q\" string=\"false\">",
                                         "\n\n",
                                         "\n",
                                         " ",
                                         "```json\n",
                                         "\n```",
                                         "x",
                                         "1",
                                         "é",
                                         "\xE4\xBD",
                                         "\"",
                                         "{",
                                         "}",
                                         "<",
                                         ">",
                                         "</",
                                         "<｜tool▁calls▁begin｜>",
                                         "<｜tool▁calls▁end｜>",
                                         "<｜tool▁call▁begin｜>",
                                         "<｜tool▁call▁end｜>",
                                         "<｜tool▁sep｜>",
                                         "function",
                                         "<tool_call>",
                                         "</tool_call>",
                                         "{\"name\":\"h\",\"arguments\":{}}"};
  std::mt19937 random(7);
  for (int round = 0; round < 30'000; ++round) {
    std::string text;
    for (size_t i = random() % 24; i > 0; --i) {
      text += kParts[random() % std::size(kParts)];
    }
    const Vocabulary vocabulary{random() % 2 == 0, random() % 2 == 0};
    const auto generation = static_cast<Generation>(random() % 10);
    const bool thinks = random() % 2 == 0;
    const auto stream = items(text, vocabulary);
    const std::string once =
        parse(generation, thinks, stream, vocabulary, [] { return size_t{1} << 30; });
    ASSERT_EQ(parse(generation, thinks, stream, vocabulary, [] { return size_t{1}; }), once)
        << generation_name(generation) << " " << text;
    ASSERT_EQ(parse(generation, thinks, stream, vocabulary, [&] { return random() % 5 + 1; }), once)
        << generation_name(generation) << " " << text;
    ASSERT_EQ(once.find_first_of("\xF5\xF6\xF7\xF8\xF9\xFA\xFB\xFC\xFD\xFE\xFF\xC0"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace hadal::tokenizer
