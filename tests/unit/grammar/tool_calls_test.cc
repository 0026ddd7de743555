#include "grammar/tool_calls.h"

#include <functional>
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "grammar/schema.h"
#include "tokenizer/dialogue.h"
#include "tokenizer/stream_parser.h"
#include "unit/grammar/validator.h"
#include "unit/grammar/written.h"

namespace hadal::grammar {
namespace {

using testing::Json;
using tokenizer::Generation;
using tokenizer::StreamEvent;
using tokenizer::Tokenizer;

// Vocabularies with all special tokens, and those in which the markup of a generation is text.
struct Model {
  Generation generation;
  std::string without;
};
const Model models[] = {{Generation::v25, ""},
                        {Generation::v3, ""},
                        {Generation::r1, ""},
                        {Generation::v31, ""},
                        {Generation::v32, ""},
                        {Generation::v32, "｜DSML｜"},
                        {Generation::v4, ""},
                        {Generation::chatml, ""},
                        {Generation::chatml, "<tool_call>"},
                        {Generation::chatml, "</tool_call>"},
                        {Generation::qwen3, ""}};

struct Vocabularies {
  Tokenizer tokenizer;
  std::shared_ptr<const Vocabulary> vocabulary;
};

const Vocabularies& vocabulary_of(const Model& model) {
  static std::map<std::string, std::unique_ptr<Vocabularies>> all;
  auto& own = all[model.without];
  if (!own) {
    own = std::make_unique<Vocabularies>(
        Vocabularies{tokenizer::small_tokenizer("deepseek-v3", model.without), nullptr});
    own->vocabulary = std::make_shared<Vocabulary>(own->tokenizer, own->tokenizer.size());
  }
  return *own;
}

std::shared_ptr<const Constraint> constraint_for(const Model& model,
                                                 const std::vector<CallableTool>& tools,
                                                 const ToolCallOptions& options) {
  const Vocabularies& own = vocabulary_of(model);
  return std::make_shared<Constraint>(
      tool_call_grammar(own.tokenizer, model.generation, tools, options), own.vocabulary);
}

std::vector<CallableTool> two_tools() {
  return {{"get_weather",
           R"({"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"},
               "unit":{"enum":["C","F",null]}},"required":["city"]})",
           true, "tools[0].function.parameters"},
          {"now", "", true, "tools[1].function.parameters"}};
}

Taken take(const Model&, const std::shared_ptr<const Constraint>& constraint,
           const std::vector<int32_t>& ids) {
  Matcher matcher(constraint);
  for (const int32_t id : ids)
    if (!matcher.accept(id)) return Taken::refused;
  return matcher.may_end() ? Taken::whole : Taken::begun;
}

// The ids that a dialogue's encoder writes for an answer of the assistant.
std::vector<int32_t> answer(const Model& model, const std::string& content,
                            const std::vector<tokenizer::ToolCall>& calls) {
  tokenizer::Dialogue dialogue;
  tokenizer::Message user, reply;
  user.role = tokenizer::Role::user;
  user.content = "Hi";
  reply.role = tokenizer::Role::assistant;
  reply.content = content;
  reply.tool_calls = calls;
  dialogue.messages = {user, reply};
  tokenizer::EncodeOptions options;
  options.add_generation_prompt = false;
  const Tokenizer& tokenizer = vocabulary_of(model).tokenizer;
  std::vector<int32_t> all = encode_dialogue(tokenizer, model.generation, dialogue, options);
  // Up to where the answer begins: the same with a mark in place of it.
  dialogue.messages[1].content = "@";
  dialogue.messages[1].tool_calls.clear();
  const auto marked = encode_dialogue(tokenizer, model.generation, dialogue, options);
  const auto begin = std::find(marked.rbegin(), marked.rend(), '@').base() - 1 - marked.begin();
  const auto behind = marked.end() - marked.begin() - begin - 1;
  return {all.begin() + begin, all.end() - behind};
}

TEST(ToolCalls, WhatEncodersWriteIsTaken) {
  const tokenizer::ToolCall weather = {"1", "get_weather",
                                       R"({"city": "Paris, \"5e\"", "days": 2, "unit": "C"})"};
  const tokenizer::ToolCall null_unit = {"2", "get_weather", R"({"city": "x", "unit": null})"};
  const tokenizer::ToolCall now = {"3", "now", "{}"};
  for (const Model& model : models) {
    SCOPED_TRACE(fmt::format("{} without {}", generation_name(model.generation), model.without));
    const auto may = constraint_for(model, two_tools(), {});
    const auto must = constraint_for(model, two_tools(), {.required = true});
    const auto one = constraint_for(model, two_tools(), {.required = true, .parallel = false});
    const auto several = answer(model, "", {weather, null_unit, now});
    const auto single = answer(model, "", {now});
    const auto behind_text = answer(model, "I look.", {weather});
    const auto text = answer(model, "Hello <th> ｜ there", {});
    EXPECT_EQ(take(model, must, several), Taken::whole);
    EXPECT_EQ(take(model, may, several), Taken::whole);
    EXPECT_EQ(take(model, one, several), Taken::refused);
    EXPECT_EQ(take(model, one, single), Taken::whole);
    EXPECT_EQ(take(model, may, behind_text), Taken::whole);
    EXPECT_EQ(take(model, must, behind_text), Taken::refused);
    EXPECT_EQ(take(model, may, text), Taken::whole);
    EXPECT_EQ(take(model, must, text), Taken::refused);
    // Without tools there is text, but no call.
    const auto none = constraint_for(model, {}, {});
    EXPECT_EQ(take(model, none, text), Taken::whole);
    EXPECT_EQ(take(model, none, several), Taken::refused);
    EXPECT_EQ(take(model, none, behind_text), Taken::refused);
    // Names and arguments that are not those of a tool.
    for (const auto& wrong : {tokenizer::ToolCall{"1", "get_wealth", R"({"city": "x"})"},
                              tokenizer::ToolCall{"1", "get_weather", R"({"days": 2})"},
                              tokenizer::ToolCall{"1", "get_weather", R"({"city": 5})"},
                              tokenizer::ToolCall{"1", "get_weather", R"({"city": "x", "b": 1})"},
                              tokenizer::ToolCall{"1", "now", R"({"city": "x"})"}})
      EXPECT_EQ(take(model, may, answer(model, "", {wrong})), Taken::refused) << wrong.arguments;
  }
}

// Calls with their arguments, and the text around them, as clients get them.
struct Said {
  std::string content;
  std::vector<std::pair<std::string, std::string>> calls;
  bool all_valid = true;
};

Said read(const Model& model, const std::vector<int32_t>& ids) {
  tokenizer::StreamParser parser(vocabulary_of(model).tokenizer, model.generation, false);
  Said said;
  const auto note = [&](const std::vector<StreamEvent>& events) {
    for (const StreamEvent& event : events) {
      if (event.kind == StreamEvent::Kind::content) said.content += event.text;
      if (event.kind == StreamEvent::Kind::call_begin) said.calls.emplace_back(event.text, "");
      if (event.kind == StreamEvent::Kind::call_arguments) said.calls.back().second += event.text;
      if (event.kind == StreamEvent::Kind::call_end) said.all_valid &= event.valid;
    }
  };
  for (const int32_t id : ids) note(parser.push(id));
  note(parser.finish());
  return said;
}

// What can be taken as a whole, out of what ends or begins something.
std::vector<std::vector<int32_t>> landmarks(const Model& model, const Matcher& matcher) {
  const Tokenizer& tokenizer = vocabulary_of(model).tokenizer;
  std::vector<std::vector<int32_t>> out;
  for (const char* text :
       {"}", "]", "\"", "x\"", "b\"", "x</｜DSML｜parameter>", "b</｜DSML｜parameter>",
        "</｜DSML｜parameter>", "\n</｜DSML｜invoke>", "<｜DSML｜function_calls>",
        "<｜DSML｜tool_calls>", "<tool_call>", "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>",
        "<｜tool▁call▁begin｜>"}) {
    std::vector<int32_t> ids = tokenizer.encode_with_special(text);
    Matcher copy = matcher;
    if (std::ranges::all_of(ids, [&](int32_t id) { return copy.accept(id); }))
      out.push_back(std::move(ids));
  }
  return out;
}

// A walk through the grammar at random, which hurries to an end after a while.
std::vector<int32_t> walk(const Model& model, const std::shared_ptr<const Constraint>& constraint,
                          uint64_t seed) {
  Matcher matcher(constraint);
  std::vector<int32_t> ids;
  for (uint64_t step = 0; step < 4000; ++step) {
    if (matcher.may_end() && (matcher.must_end() || random_uniform(seed, 1, step) < 0.2)) break;
    const auto mask = matcher.mask();
    std::vector<std::vector<int32_t>> choices, hurried;
    for (int32_t id = 0; id < vocabulary_of(model).tokenizer.size(); ++id)
      if (((*mask)[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0) choices.push_back({id});
    EXPECT_FALSE(choices.empty());
    if (choices.empty()) break;
    if (random_uniform(seed, 2, step) < (step > 30 ? 0.8 : 0.3))
      hurried = landmarks(model, matcher);
    const auto& from = hurried.empty() ? choices : hurried;
    const double u = random_uniform(seed, 3, step);
    for (const int32_t id : from[static_cast<size_t>(u * static_cast<double>(from.size()))]) {
      ids.push_back(id);
      EXPECT_TRUE(matcher.accept(id));
    }
  }
  EXPECT_TRUE(matcher.may_end());
  return ids;
}

TEST(ToolCalls, WhateverIsDrawnIsACallThatSatisfiesItsSchema) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    std::vector<CallableTool> tools;
    testing::RandomSchema random(seed);
    for (const char* name : {"f", "get_it", "g"}) {
      Json schema = random.make_object();
      // DSML has no form for such a name.
      schema["properties"].erase("é\"");
      std::erase(schema["required"].get_ref<Json::array_t&>(), Json("é\""));
      tools.push_back({name, schema.dump(), true, ""});
    }
    for (const Model& model : models) {
      std::shared_ptr<const Constraint> constraint;
      try {
        constraint = constraint_for(model, tools, {.required = true, .parallel = seed % 2 == 0});
      } catch (const SchemaError&) {
        continue;  // two demands of a string at once
      }
      const std::vector<int32_t> ids = walk(model, constraint, seed);
      const Said said = read(model, ids);
      SCOPED_TRACE(fmt::format("{}, seed {}: {}", generation_name(model.generation), seed,
                               vocabulary_of(model).tokenizer.decode(ids)));
      EXPECT_EQ(said.content, "");
      EXPECT_TRUE(said.all_valid);
      ASSERT_FALSE(said.calls.empty());
      EXPECT_TRUE(seed % 2 == 0 || said.calls.size() == 1);
      for (const auto& [name, arguments] : said.calls) {
        const auto tool = std::find_if(tools.begin(), tools.end(),
                                       [&, n = name](const auto& t) { return t.name == n; });
        ASSERT_NE(tool, tools.end()) << name;
        const Json schema = Json::parse(tool->parameters);
        EXPECT_EQ(testing::why_invalid(schema, schema, Json::parse(arguments)), "")
            << schema << "\n"
            << arguments;
      }
    }
  }
}

TEST(ToolCalls, TextOrJsonMayStandInsteadOfCalls) {
  for (const Model& model : models) {
    SCOPED_TRACE(generation_name(model.generation));
    int texts = 0, calls = 0;
    for (const auto& response : {std::optional<std::string>{}, std::optional<std::string>{""},
                                 std::optional<std::string>{R"({"type":"integer"})"}}) {
      const auto constraint = constraint_for(model, two_tools(), {.response_schema = response});
      for (uint64_t seed = 0; seed < 40; ++seed) {
        const Said said = read(model, walk(model, constraint, seed));
        EXPECT_TRUE(said.all_valid);
        (said.calls.empty() ? texts : calls) += 1;
        if (!response) continue;
        if (!said.calls.empty())
          EXPECT_EQ(said.content, "");
        else
          EXPECT_TRUE(response->empty() ? Json::parse(said.content).is_object()
                                        : Json::parse(said.content).is_number_integer());
      }
    }
    EXPECT_GT(texts, 0);
    EXPECT_GT(calls, 0);
  }
}

TEST(ToolCalls, SchemasThatCannotBeKeptToAreErrorsOnlyIfStrict) {
  const Model model = {Generation::v31, ""};
  const auto wrong = [&](const std::string& parameters, bool strict) {
    return error_of([&] {
      constraint_for(model, {{"f", parameters, strict, "tools[3].p"}}, {.required = true});
      fail(ErrorKind::usage, "none");
    });
  };
  EXPECT_EQ(wrong(R"({"properties":{"a":{"not":{}}}})", true).substr(0, 34),
            "tools[3].p#/properties/a/not: this");
  EXPECT_EQ(wrong(R"({"type":"array"})", true), "tools[3].p#/type: arguments are an \"object\"");
  EXPECT_EQ(wrong("7", true), "tools[3].p#: arguments are an object: a schema of one");
  EXPECT_EQ(wrong("{", true), "tools[3].p#: it is not JSON");
  for (const char* schema : {R"({"properties":{"a":{"not":{}}}})", R"({"type":"array"})", "7", "{"})
    EXPECT_EQ(wrong(schema, false), "none") << schema;
  // Any object, then.
  const auto loose = constraint_for(model, {{"f", "7", false, ""}}, {.required = true});
  EXPECT_EQ(take(model, loose, answer(model, "", {{"1", "f", R"({"x": [1, {}]})"}})), Taken::whole);
  const Model dsml = {Generation::v4, ""};
  const std::string quoted = R"({"properties":{"a\"":{}},"required":["a\""]})";
  EXPECT_NE(error_of([&] {
              constraint_for(dsml, {{"f", quoted, true, "p"}}, {});
            }).find("cannot hold the name"),
            std::string::npos);
  constraint_for(dsml, {{"f", quoted, false, "p"}}, {});
}

TEST(ToolCalls, ManyLargeSchemasAreKeptToAsFarAsThereIsRoom) {
  Json schema = {{"type", "object"}, {"additionalProperties", false}};
  for (int i = 0; i < 20; ++i)
    schema["properties"][fmt::format("part_{}", i)] =
        Json::parse(R"({"type":"array","items":{"type":"string","enum":["north","south","west"]},
                        "maxItems":20})");
  const std::string large = schema.dump();
  for (const Model& model : models) {
    SCOPED_TRACE(generation_name(model.generation));
    std::vector<CallableTool> tools = {
        {"small", R"({"properties":{"x":{"type":"null"}}})", false, ""}};
    for (int i = 1; i < 128; ++i) tools.push_back({fmt::format("f{}", i), large, false, ""});
    const auto constraint = constraint_for(model, tools, {.required = true});
    const auto taken = [&](const char* name, const char* arguments) {
      return take(model, constraint, answer(model, "", {{"1", name, arguments}}));
    };
    EXPECT_EQ(taken("f1", R"({"other": 1})"), Taken::whole);
    EXPECT_EQ(taken("small", R"({"x": null})"), Taken::whole);
    EXPECT_NE(taken("small", R"({"x": 1})"), Taken::whole);
    for (CallableTool& tool : tools) tool.strict = true;
    EXPECT_NE(error_of([&] { constraint_for(model, tools, {}); }).find("states"),
              std::string::npos);
  }
}

TEST(ToolCalls, ModelsWithoutAFormForThem) {
  const std::vector<CallableTool> tools = {{"f", "", true, ""}};
  const Model v2 = {Generation::v2, ""}, no_token = {Generation::v31, "<｜tool▁sep｜>"};
  EXPECT_EQ(error_of([&] { constraint_for(v2, tools, {.required = true}); }),
            "a model of generation v2 calls no tools");
  EXPECT_EQ(error_of([&] { constraint_for(no_token, tools, {.required = true}); }),
            "the model has no token <｜tool▁sep｜>, so it calls no tools");
  // Where no call is required it answers as it can.
  for (const Model& model : {v2, no_token}) {
    const auto any = constraint_for(model, tools, {.parallel = false});
    EXPECT_EQ(take(model, any, {'H', 'i'}), Taken::whole);
    const auto json = constraint_for(model, tools, {.response_schema = R"({"type":"integer"})"});
    EXPECT_EQ(take(model, json, {'4', '2'}), Taken::whole);
    EXPECT_EQ(take(model, json, {'H'}), Taken::refused);
    constraint_for(model, {}, {});
  }
}

}  // namespace
}  // namespace hadal::grammar
