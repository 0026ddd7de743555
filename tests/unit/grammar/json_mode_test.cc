#include "grammar/json_mode.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "unit/grammar/written.h"

namespace hadal::grammar {
namespace {

using Json = nlohmann::ordered_json;

Json random_value(uint64_t seed, uint64_t& counter, int depth) {
  const auto pick = [&](int n) { return static_cast<int>(random_uniform(seed, 1, counter++) * n); };
  static const char* const strings[] = {"", "plain", "\"quoted\\\"\n\t",
                                        "h\xC3\xA9 \xF0\x9F\x98\x80", "\x01"};
  switch (pick(depth > 4 ? 5 : 7)) {
    case 0:
      return nullptr;
    case 1:
      return pick(2) == 0;
    case 2:
      return pick(2000) - 1000;
    case 3:
      return random_uniform(seed, 2, counter++) * 1e9 - 1e6;
    case 4:
      return strings[pick(5)];
    case 5: {
      Json list = Json::array();
      for (int i = pick(4); i > 0; --i) list.push_back(random_value(seed, counter, depth + 1));
      return list;
    }
    default: {
      Json object = Json::object();
      for (int i = pick(4); i > 0; --i)
        object[strings[pick(5)]] = random_value(seed, counter, depth + 1);
      return object;
    }
  }
}

TEST(JsonMode, TakesObjectsCompactAndIndented) {
  const auto constraint = constraint_of(json_object_grammar());
  for (uint64_t seed = 0; seed < 200; ++seed) {
    uint64_t counter = 0;
    const Json object = {{"root", random_value(seed, counter, 0)}, {"n", seed}};
    for (const int indent : {-1, 2, 4}) {
      const std::string text = object.dump(indent);
      EXPECT_EQ(take(constraint, text), Taken::whole) << text;
    }
  }
}

TEST(JsonMode, RefusesWhatIsNoObject) {
  const auto constraint = constraint_of(json_object_grammar());
  for (const char* text :
       {"[", "1", "\"", "{a", "{\"a\"1", "{\"a\":01", "{\"a\":1,}", "{\"a\":.5", "{\"a\":\"\n",
        "{\"a\":\"\\x", "{\"a\":\"\\ud8", "{\"a\":1e999", "{} ", "{\"a\":nul1", "{\"a\":+1", "  {"})
    EXPECT_EQ(take(constraint, text), Taken::refused) << text;
}

// Whatever tokens are drawn, as long as the mask allows them, the answer can be read when it
// ends, as many do: the walk comes to prefer what closes a bracket.
TEST(JsonMode, WhateverIsDrawnIsJson) {
  const auto constraint = constraint_of(json_object_grammar());
  int ended = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Matcher matcher(constraint);
    std::string text;
    for (uint64_t step = 0; step < 2000 && !matcher.must_end(); ++step) {
      const auto mask = matcher.mask();
      std::vector<int32_t> choices;
      for (int32_t id = 0; id < 266; ++id)
        if (((*mask)[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0) choices.push_back(id);
      ASSERT_FALSE(choices.empty()) << text;
      int32_t token = choices[static_cast<size_t>(random_uniform(seed, 3, step) *
                                                  static_cast<double>(choices.size()))];
      if (step > 30)
        for (const int32_t id : choices)
          if (id == '"' || id == '}' || id == ']') token = id;
      ASSERT_TRUE(matcher.accept(token));
      text += small_vocabulary()->tokenizer().token_bytes(token);
    }
    if (!matcher.must_end()) continue;
    ++ended;
    EXPECT_TRUE(Json::parse(text, nullptr, false).is_object()) << text;
  }
  EXPECT_GT(ended, 40);
}

TEST(JsonMode, DeepNestingIsNotOffered) {
  Matcher matcher(constraint_of(json_object_grammar()));
  ASSERT_TRUE(matcher.accept_text("{\"a\":"));
  int depth = 1;
  while (matcher.accept_text("[")) ++depth;
  EXPECT_GE(depth, json_depth_max / 2);
  EXPECT_LE(depth, 2 * json_depth_max + 1);
  ASSERT_TRUE(matcher.accept_text(std::string(static_cast<size_t>(depth) - 1, ']') + "}"));
  EXPECT_TRUE(matcher.must_end());
}

}  // namespace
}  // namespace hadal::grammar
