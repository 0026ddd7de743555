#include "grammar/json_schema.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "unit/grammar/validator.h"
#include "unit/grammar/written.h"

namespace hadal::grammar {
namespace {

struct Case {
  const char* schema;
  std::vector<std::string> whole, begun, refused;
};

void check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const auto constraint = constraint_of(json_schema_grammar(c.schema));
    for (const auto& text : c.whole)
      EXPECT_EQ(take(constraint, text), Taken::whole) << c.schema << "\n" << text;
    for (const auto& text : c.begun)
      EXPECT_EQ(take(constraint, text), Taken::begun) << c.schema << "\n" << text;
    for (const auto& text : c.refused)
      EXPECT_EQ(take(constraint, text), Taken::refused) << c.schema << "\n" << text;
  }
}

TEST(JsonSchema, Types) {
  check({
      {R"({"type":"null"})", {"null"}, {"nul"}, {"0", "\"null\""}},
      {R"({"type":"boolean"})", {"true", "false"}, {""}, {"1", "True"}},
      {R"({"type":"integer"})", {"0", "-5", "123456789012345678"}, {"-"}, {"1.0", "01", "1e3"}},
      {R"({"type":"number"})", {"0.5", "-1e9", "3"}, {"1."}, {".5", "1e999", "true"}},
      {R"({"type":"string"})", {R"("")", R"("a\n\u00e9é")"}, {R"("a)"}, {"a", R"("\x)"}},
      {R"({"type":["string","null"]})", {R"("a")", "null"}, {}, {"1", "true"}},
      {R"({"type":"string","nullable":true})", {R"("a")", "null"}, {}, {"1"}},
      {"true", {"[1]", "{\"a\": {}}", "null"}, {}, {"nil"}},
      {"{}", {"0", "\"\""}, {}, {"]"}},
      {R"({"type":"array"})", {"[]", "[1, [2]]"}, {"[1"}, {"{", "[1,]"}},
      {R"({"type":"object"})", {"{}", R"({"a":1, "b":[]})"}, {"{"}, {"[", "{1"}},
  });
}

TEST(JsonSchema, Numbers) {
  check({
      {R"({"type":"integer","minimum":3,"maximum":217})",
       {"3", "9", "10", "99", "100", "199", "200", "217"},
       {"1", "2"},
       {"0", "218", "220", "300", "1000", "-", "03", "3."}},
      {R"({"type":"integer","exclusiveMinimum":-12,"exclusiveMaximum":5})",
       {"-11", "-9", "-1", "0", "4"},
       {"-"},
       {"-12", "-0", "5", "10", "-2."}},
      {R"({"type":"integer","maximum":-5})", {"-5", "-9", "-10", "-999"}, {"-4"}, {"0", "5", "-0"}},
      {R"({"type":"number","minimum":0,"maximum":1})",
       {"0", "1", "0.25", "1.0", "0.999"},
       {"1.", "0."},
       {"-0.5", "1.1", "2", "1.01", "1e"}},
      {R"({"type":"number","exclusiveMinimum":0.25,"maximum":10.5})",
       {"0.26", "0.251", "0.3", "1", "10.5", "10.50", "10.4999", "9.9"},
       {"0.25", "0.2", "0.250"},
       {"0.1", "10.6", "10.51", "11", "0.24"}},
      {R"({"type":"number","minimum":-2.5,"exclusiveMaximum":-1})",
       {"-2.5", "-2", "-1.5", "-1.01"},
       {"-1", "-1.0"},
       {"-2.6", "-3", "0", "1"}},
      {R"({"type":"number","multipleOf":0.01})", {"1.25", "3", "0.5"}, {}, {"1.255", "1e"}},
      {R"({"type":"integer","format":"int32"})", {"2147483647", "-2147483648"}, {}, {"2147483648"}},
      {R"({"minimum":2})", {"2", "31.5"}, {"1"}, {"\"", "0", "n"}},
      {R"({"type":"integer","minimum":0,"exclusiveMinimum":true})", {"1"}, {}, {"0"}},
      {R"({"type":"integer","minimum":1e3,"maximum":9223372036854775807})",
       {"1000", "9223372036854775807"},
       {"999"},
       {"9223372036854775808"}},
  });
}

TEST(JsonSchema, Strings) {
  check({
      {R"({"type":"string","minLength":2,"maxLength":3})",
       {R"("ab")", R"("é深x")", R"("\n\"a")"},
       {R"("a)", R"("abc)"},
       {R"("a")", R"("abcd)"}},
      {R"({"type":"string","pattern":"^[a-c]+-\\d{2}$"})",
       {R"("a-12")", R"("abcc-00")"},
       {R"("a)"},
       {R"("")", R"("d)", R"("a-1")", R"("a-123)"}},
      {R"({"type":"string","pattern":"b"})", {R"("b")", R"("abc\n")"}, {R"("a)"}, {R"("a")"}},
      {R"({"type":"string","pattern":"^(yes|no)$"})", {R"("yes")"}, {R"("y)"}, {R"("yesno)"}},
      {R"({"type":"string","pattern":"^a|b$"})", {R"("ax")", R"("xb")"}, {}, {R"("xa")"}},
      {R"({"type":"string","pattern":"^\\w+$","maxLength":3,"minLength":2})",
       {R"("ab")", R"("a_1")"},
       {},
       {R"("a")", R"("abcd)", R"(" )"}},
      {R"({"type":"string","pattern":"^\"\\\\?\\n[^x]$"})",
       {R"("\"\\\né")", R"("\"\n\"")"},
       {},
       {R"("\"\nx)", R"(""")"}},
      {R"({"type":"string","format":"date"})",
       {R"("2024-02-29")", R"("1999-12-31")"},
       {R"("2023-02-2)"},
       {R"("2023-02-29)", R"("2023-13)", R"("2023-04-31)", R"("1900-02-29)"}},
      {R"({"type":"string","format":"uuid"})",
       {R"("123e4567-e89b-12d3-a456-426614174000")"},
       {},
       {R"("123g)"}},
      {R"({"type":"string","format":"ipv4"})", {R"("192.168.0.1")"}, {}, {R"("256)", R"("01)"}},
      {R"({"type":"string","format":"email"})", {R"("a.b@c.de")"}, {R"("a@c)"}, {R"("@)"}},
      {R"({"enum":["a","b\"c",3,null,[1,{"k":true}]]})",
       {R"("a")", R"("b\"c")", "3", "null", R"([1, {"k": true}])", R"([1,{"k":true}])"},
       {"[1"},
       {R"("b")", "4", R"([1,{"k":false)"}},
      {R"({"type":"string","enum":["a",1],"maxLength":1})", {R"("a")"}, {}, {"1"}},
      {R"({"const":"x y"})", {R"("x y")"}, {}, {R"("xy)"}},
  });
}

TEST(JsonSchema, ArraysAndObjects) {
  check({
      {R"({"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":3})",
       {"[1]", "[1,2]", "[ 1 , 2, 3 ]", "[\n  1,\n  2\n]"},
       {"[", "[1,2,3"},
       {"[]", "[1,2,3,", "[\"", "[1,]"}},
      {R"({"items":{"type":"null"}})", {"[]", "[null,null]"}, {}, {"{", "[1"}},
      {R"({"type":"array","prefixItems":[{"type":"string"},{"type":"integer"}]})",
       {"[]", R"(["a"])", R"(["a",1])"},
       {},
       {"[1", R"(["a",1,)", R"(["a","b)"}},
      {R"({"prefixItems":[{"const":1}],"items":{"const":2},"minItems":2})",
       {"[1,2]", "[1,2,2,2]"},
       {"[1"},
       {"[1]", "[2", "[1,1"}},
      {R"({"type":"array","maxItems":0})", {"[]"}, {}, {"[1"}},
      {R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},
           "required":["name"],"additionalProperties":false})",
       {R"({"name":"x"})", R"({"name": "x", "age": 3})", "{\n  \"name\": \"x\"\n}"},
       {R"({"name":"x",)"},
       {"{}", R"({"age)", R"({"name":1)", R"({"name":"x","b)", R"({"name":"x",})"}},
      {R"({"properties":{"a":{},"b":{},"c":{}}})",
       {"{}", R"({"a":1})", R"({"b":1,"c":2})", R"({"a":[],"c":{}})"},
       {},
       {R"({"b":1,"a)", R"({"d)", "1"}},
      {R"({"properties":{"ab":{"type":"integer"}},"additionalProperties":{"type":"boolean"}})",
       {R"({"ab":1})", R"({"a":true})", R"({"abc":true,"":false,"x\n":true})",
        R"({"ab":1,"b":true})"},
       {},
       {R"({"ab":t)", R"({"a":1)", R"({"ab":1,"ab")"}},
      {R"({"type":"object","additionalProperties":{"type":"integer"},"maxProperties":2,
           "minProperties":1})",
       {R"({"a":1})", R"({"a":1,"b":2})"},
       {},
       {"{}", R"({"a":1,"b":2,)", R"({"a":t)"}},
      {R"({"type":"object","required":["x"]})", {R"({"x":[1]})"}, {}, {"{}", R"({"y)"}},
  });
}

TEST(JsonSchema, CombinationsAndReferences) {
  check({
      {R"({"anyOf":[{"type":"integer"},{"type":"string","maxLength":1}]})",
       {"5", R"("a")"},
       {},
       {"null", R"("ab)"}},
      {R"({"oneOf":[{"type":"integer"},{"type":"null"}]})", {"5", "null"}, {}, {"t"}},
      {R"({"oneOf":[
            {"type":"object","properties":{"kind":{"const":"a"},"n":{"type":"integer"}},
             "required":["kind","n"]},
            {"type":"object","properties":{"kind":{"const":"b"}},"required":["kind"]}]})",
       {R"({"kind":"a","n":1})", R"({"kind":"b"})"},
       {},
       {R"({"kind":"a"})", R"({"kind":"c)"}},
      {R"({"allOf":[{"type":"object","properties":{"a":{"type":"number"}},"required":["a"]},
                    {"properties":{"a":{"minimum":1,"maximum":2},"b":{"type":"null"}}}]})",
       {R"({"a":1.5})", R"({"a":2,"b":null})"},
       {},
       {R"({"a":3)", R"({"b)"}},
      {R"({"type":"integer","minimum":1,"anyOf":[{"maximum":3},{"minimum":8,"maximum":9}]})",
       {"1", "3", "8", "9"},
       {},
       {"0", "4", "7"}},
      {R"({"$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},
             "next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"]}},
           "$ref":"#/$defs/node"})",
       {R"({"v":1,"next":null})", R"({"v":1,"next":{"v":2,"next":null}})"},
       {R"({"v":1,"next":{)"},
       {R"({"v":1})", R"({"v":1,"next":1)"}},
      {R"({"properties":{"a/b":{"type":"integer"},"c":{"$ref":"#/properties/a~1b"}}})",
       {R"({"a/b":1,"c":2})"},
       {},
       {R"({"c":n)"}},
  });
}

// A schema that refers to itself can be ended wherever it was begun.
TEST(JsonSchema, DepthIsBoundedWithoutDeadEnds) {
  Matcher matcher(constraint_of(json_schema_grammar(
      R"({"properties":{"l":{"$ref":"#"},"x":{"properties":{"y":{"type":"array","minItems":1,
          "items":{"type":"boolean"}}},"required":["y"]}},"required":["x"]})")));
  int depth = 0;
  while (matcher.accept_text("{\"l\":")) ++depth;
  EXPECT_GE(depth, schema_depth_max - 5);
  EXPECT_LE(depth, schema_depth_max + 1);
  ASSERT_TRUE(matcher.accept_text("{\"x\":{\"y\":[true]}}"));
  while (depth-- > 0) ASSERT_TRUE(matcher.accept_text(",\"x\":{\"y\":[true]}}")) << depth;
  EXPECT_TRUE(matcher.must_end());
}

TEST(JsonSchema, WhatCannotBePromisedIsRefusedByPath) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"1", "#: a schema is"},
      {"{", "#:"},
      {R"({"type":"strnig"})", "#/type: "},
      {R"({"properties":{"a":{"not":{}}}})", "#/properties/a/not: this keyword cannot"},
      {R"({"propertes":{}})", "#/propertes: this keyword"},
      {R"({"patternProperties":{}})", "#/patternProperties"},
      {R"({"items":{"uniqueItems":true}})", "#/items/uniqueItems"},
      {R"j({"pattern":"(?=a)"})j", "#/pattern: character 3: looking ahead"},
      {R"({"pattern":"(a"})", "#/pattern: character 3: ')' is missing"},
      {R"({"pattern":"\\bx"})", "cannot be enforced"},
      {R"({"format":"color"})", "#/format: the formats"},
      {R"({"allOf":[{"pattern":"a"},{"pattern":"b"}]})", "only one pattern"},
      {R"({"multipleOf":3})", "#/multipleOf"},
      {R"({"$ref":"http://x"})", "#/$ref: only references within"},
      {R"({"$ref":"#/$defs/x"})", "#/$ref: there is nothing at #/$defs/x"},
      {R"({"$ref":"#"})", "refers to itself"},
      {R"({"anyOf":[{"$ref":"#"},{"type":"null"}]})", "refers to itself"},
      {R"({"oneOf":[{"type":"integer"},{"type":"number"}]})", "#/oneOf: alternatives 0 and 1"},
      {R"({"oneOf":[{"properties":{"a":{}}},{"properties":{"b":{}}}]})", "cannot be told apart"},
      {R"({"minProperties":3})", "/minProperties"},
      {R"({"properties":{"a":{}},"maxProperties":0})", "/maxProperties"},
      {R"({"type":"string","enum":[]})", "#/enum"},
      {R"({"enum":[{"a":1}],"required":["a"]})", "beside it"},
      {R"({"minLength":-1})", "#/minLength"},
      {"false", "matches nothing"},
      {R"({"type":"integer","minimum":5,"maximum":3})", "matches nothing"},
      {R"({"type":"string","enum":[1]})", "matches nothing"},
      {R"({"properties":{"a":{"$ref":"#"}},"required":["a"]})", "matches nothing"},
  };
  for (const auto& [schema, part] : cases) {
    const std::string message = error_of([&] { json_schema_grammar(schema); });
    EXPECT_NE(message.find(part), std::string::npos) << schema << "\n" << message;
  }
}

// What would take much time or memory is refused soon.
TEST(JsonSchema, HostileSchemasAreRefused) {
  const auto refused = [](const std::string& schema) {
    return error_of([&] { json_schema_grammar(schema); });
  };
  // 2^40 alternatives.
  std::string power = R"({"type":"object","allOf":[)";
  for (int i = 0; i < 40; ++i)
    power += fmt::format(R"({}{{"anyOf":[{{"required":["a{}"]}},{{"required":["b{}"]}}]}})",
                         i > 0 ? "," : "", i, i);
  EXPECT_NE(refused(power + "]}").find("too complicated"), std::string::npos);
  // Each level twice the one below: as rules it is small, as alternatives it is not.
  std::string doubled = R"({"$defs":{"d0":{"type":"null"})";
  for (int i = 1; i < 40; ++i)
    doubled +=
        fmt::format(R"(,"d{}":{{"anyOf":[{{"$ref":"#/$defs/d{}"}},{{"$ref":"#/$defs/d{}"}}]}})", i,
                    i - 1, i - 1);
  EXPECT_NE(refused(doubled + R"(},"$ref":"#/$defs/d39"})").find("too complicated"),
            std::string::npos);
  std::string chain = R"({"$defs":{"d0":{"type":"null"})";
  for (int i = 1; i < 5000; ++i)
    chain += fmt::format(R"(,"d{}":{{"$ref":"#/$defs/d{}"}})", i, i - 1);
  EXPECT_NE(refused(chain + R"(},"$ref":"#/$defs/d4999"})").find("too often to others"),
            std::string::npos);
  EXPECT_NE(refused(R"({"type":"string","minLength":1000000000})").find("more than"),
            std::string::npos);
  EXPECT_NE(refused(R"({"type":"array","maxItems":1000000000000})").find("more than"),
            std::string::npos);
  EXPECT_NE(refused(R"({"type":"string","pattern":"^((((a{2000}){2000}){2000}){2000})$"})")
                .find("more than"),
            std::string::npos);
  EXPECT_NE(refused(R"({"type":"string","pattern":"^[^a]*.[^b]*$","maxLength":1000000})")
                .find("more than"),
            std::string::npos);
  EXPECT_NE(refused(std::string(60, '[')), "nothing was thrown");
  EXPECT_NE(refused(std::string(1 << 20, ' ')).find("bytes"), std::string::npos);
  std::string nested;
  for (int i = 0; i < 300; ++i) nested += R"({"items":)";
  EXPECT_NE(refused(nested + "{}" + std::string(300, '}')).find("nested deeper"),
            std::string::npos);
}

// Random schemas, random walks through their grammars: what comes out satisfies the schema, as a
// validator says that shares no code with the grammar.
TEST(JsonSchema, WhateverIsDrawnSatisfiesTheSchema) {
  int walks = 0, ended = 0, refused = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    const Json schema = testing::RandomSchema(seed).make();
    std::shared_ptr<const Constraint> constraint;
    try {
      constraint = constraint_of(json_schema_grammar(schema.dump()));
    } catch (const Error& error) {
      const std::string message = error.what();
      EXPECT_TRUE(message.find("matches nothing") != std::string::npos ||
                  message.find("told apart") != std::string::npos ||
                  message.find("refers to itself") != std::string::npos ||
                  message.find("only one pattern") != std::string::npos)
          << schema << "\n"
          << message;
      ++refused;
      continue;
    }
    for (uint64_t walk = 0; walk < 4; ++walk, ++walks) {
      Matcher matcher(constraint);
      std::string text;
      for (uint64_t step = 0; step < 3000 && !matcher.must_end(); ++step) {
        if (matcher.may_end() && random_uniform(seed, 20 + walk, step) < 0.3) break;
        const int32_t token = testing::draw_token(matcher, seed, walk, step);
        ASSERT_GE(token, 0) << schema << "\na dead end behind " << text;
        ASSERT_TRUE(matcher.accept(token));
        text += small_vocabulary()->tokenizer().token_bytes(token);
      }
      if (!matcher.may_end()) continue;
      ++ended;
      const Json value = Json::parse(text, nullptr, false);
      ASSERT_FALSE(value.is_discarded()) << schema << "\n" << text;
      EXPECT_EQ(testing::why_invalid(schema, schema, value), "") << schema << "\n" << text;
    }
  }
  EXPECT_GT(walks, 800);
  EXPECT_GT(ended, 600);
  EXPECT_LT(refused, 200);
}

}  // namespace
}  // namespace hadal::grammar
