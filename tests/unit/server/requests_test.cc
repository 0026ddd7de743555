// JSON to requests: what is understood, and how what is wrong is named.
#include <gtest/gtest.h>

#include "server/api_error.h"
#include "server/chat_request.h"
#include "server/json_fields.h"

namespace hadal::server {
namespace {

using tokenizer::Role;

// A chat body with one user message and these members besides.
Json chat(const std::string& members) {
  return parse_body(R"({"messages":[{"role":"user","content":"Hi"}])" +
                    (members.empty() ? "" : "," + members) + "}");
}

// The status and path of the refusal, "200" if there is none.
template <typename F>
std::string refusal(F&& f) {
  try {
    f();
  } catch (const ApiError& error) {
    return std::to_string(error.status) + " " + error.param;
  }
  return "200";
}

std::string chat_refusal(const std::string& members) {
  return refusal([&] { read_chat_request(chat(members)); });
}

TEST(ParseBody, BoundsDepthAndKeys) {
  EXPECT_EQ(refusal([] { parse_body("{"); }), "400 ");
  EXPECT_EQ(refusal([] { parse_body(""); }), "400 ");
  EXPECT_EQ(refusal([] { parse_body("[1e999]"); }), "400 ");
  EXPECT_EQ(refusal([] { parse_body("{\"a\":\"\xC0\x80\"}"); }), "400 ");
  EXPECT_EQ(refusal([] { parse_body(std::string(64, '[') + std::string(64, ']')); }), "200");
  EXPECT_EQ(refusal([] { parse_body(std::string(65, '[') + std::string(65, ']')); }), "400 ");
  EXPECT_EQ(refusal([] { parse_body(std::string(1'000'000, '[')); }), "400 ");
  std::string keys;
  for (int i = 0; i < 1024; ++i) keys += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":0";
  EXPECT_EQ(refusal([&] { parse_body("{" + keys + "}"); }), "200");
  EXPECT_EQ(refusal([&] { parse_body("{" + keys + ",\"x\":0}"); }), "400 ");
  // Braces and colons in strings are text.
  EXPECT_EQ(refusal([] { parse_body("[\"" + std::string(100, '{') + "\\\":::\"]"); }), "200");
}

TEST(ChatRequest, DefaultsAreUnset) {
  const ChatRequest request = read_chat_request(chat(""));
  EXPECT_FALSE(request.temperature || request.top_p || request.seed || request.thinking);
  EXPECT_EQ(request.max_tokens, -1);
  EXPECT_EQ(request.n, 1);
  EXPECT_EQ(request.logprobs, -1);
  EXPECT_FALSE(request.stream);
  EXPECT_EQ(request.dialogue.messages.size(), 1u);
  EXPECT_EQ(request.tool_choice.kind, ToolChoice::Kind::automatic);
}

TEST(ChatRequest, NullIsAbsentAndUnknownFieldsAreIgnored) {
  const ChatRequest request = read_chat_request(
      chat(R"("temperature":null,"stop":null,"tools":null,"thinking":null,"seed":null,
              "response_format":null,"tool_choice":null,"web_search":{"x":[1]},"":0)"));
  EXPECT_FALSE(request.temperature);
  EXPECT_TRUE(request.stop.empty());
}

// Each numeric field with values of every wrong kind: 422, and the path says which.
TEST(ChatRequest, ExtremesOfEveryNumberAreRefusedByName) {
  const std::vector<std::string> always_wrong = {
      "\"1\"", "true", "[]", "{}", "1e300", "-1e300", "99999999999999999999999"};
  for (const std::string field :
       {"temperature", "top_p", "min_p", "top_k", "max_tokens", "max_completion_tokens", "n",
        "frequency_penalty", "presence_penalty", "repetition_penalty", "seed", "top_logprobs",
        "reasoning_budget"}) {
    for (const std::string& value : always_wrong)
      EXPECT_EQ(chat_refusal("\"logprobs\":true,\"" + field + "\":" + value), "422 " + field)
          << value;
  }
  for (const std::string member :
       {R"("max_tokens":0)", R"("max_tokens":-1)", R"("n":0)", R"("n":17)", R"("n":1.5)",
        R"("temperature":2.1)", R"("temperature":-0.1)", R"("top_p":1.1)", R"("top_k":-2)",
        R"("frequency_penalty":-2.1)", R"("top_logprobs":21)", R"("repetition_penalty":0)"})
    EXPECT_TRUE(chat_refusal("\"logprobs\":true," + member).starts_with("422 ")) << member;
}

TEST(ChatRequest, NumbersAtTheirBorders) {
  const ChatRequest request = read_chat_request(
      chat(R"("temperature":2,"top_p":0,"n":16,"max_tokens":8.0,"seed":-1,"top_k":-1,
              "frequency_penalty":-2,"logprobs":true,"top_logprobs":20)"));
  EXPECT_EQ(request.temperature, 2.0);
  EXPECT_EQ(request.n, 16);
  EXPECT_EQ(request.max_tokens, 8);
  EXPECT_EQ(request.seed, -1);
  EXPECT_EQ(request.logprobs, 20);
}

TEST(ChatRequest, OtherFieldsOfTheWrongTypeAreNamed) {
  EXPECT_EQ(chat_refusal(R"("stream":1)"), "422 stream");
  EXPECT_EQ(chat_refusal(R"("stream_options":[])"), "422 stream_options");
  EXPECT_EQ(chat_refusal(R"("stop":5)"), "422 stop");
  EXPECT_EQ(chat_refusal(R"("stop":["a",5])"), "422 stop[1]");
  EXPECT_EQ(chat_refusal(R"("model":[])"), "422 model");
  EXPECT_EQ(chat_refusal("\"model\":\"" + std::string(257, 'm') + "\""), "422 model");
  EXPECT_EQ(chat_refusal(R"("logit_bias":{"x":1})"), "422 logit_bias");
  EXPECT_EQ(chat_refusal(R"("logit_bias":{"7":101})"), "422 logit_bias.7");
  EXPECT_EQ(chat_refusal(R"("logit_bias":{"99999999999":1})"), "422 logit_bias");
  EXPECT_EQ(chat_refusal(R"("top_logprobs":2)"), "422 top_logprobs");
  EXPECT_EQ(chat_refusal(R"("thinking":true)"), "422 thinking");
  EXPECT_EQ(chat_refusal(R"("thinking":{"type":"perhaps"})"), "422 thinking.type");
  EXPECT_EQ(chat_refusal(R"("reasoning_effort":"some")"), "422 reasoning_effort");
  EXPECT_EQ(chat_refusal(R"("response_format":{"type":"xml"})"), "422 response_format.type");
  EXPECT_EQ(chat_refusal(R"("response_format":{"type":"json_schema"})"),
            "422 response_format.json_schema");
  EXPECT_EQ(chat_refusal(R"("tools":[{"type":"function"}])"), "422 tools[0].function");
  EXPECT_EQ(chat_refusal(R"("tools":[{"function":{"name":"a b"}}])"), "422 tools[0].function.name");
  EXPECT_EQ(chat_refusal(R"("tools":[{"function":{"name":"a","parameters":[]}}])"),
            "422 tools[0].function.parameters");
  EXPECT_EQ(chat_refusal(R"("tool_choice":"required")"), "400 tool_choice");
  EXPECT_EQ(chat_refusal(
                R"("tools":[{"function":{"name":"a"}}],"tool_choice":{"function":{"name":"b"}})"),
            "400 tool_choice.function.name");
  EXPECT_EQ(chat_refusal("\"user_id\":\"" + std::string(513, 'x') + "\""), "422 user_id");
  EXPECT_EQ(chat_refusal(R"("x_hadal":{"receipt":"all"})"), "422 x_hadal.receipt");
}

TEST(ChatRequest, MessagesOfEveryKind) {
  const ChatRequest request = read_chat_request(parse_body(R"({"messages":[
    {"role":"developer","content":"Be brief."},
    {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
    {"role":"assistant","content":null,"reasoning":"hm","tool_calls":[
      {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},
    {"role":"tool","tool_call_id":"c1","content":"42"},
    {"role":"assistant","content":"So","prefix":true}]})"));
  const auto& messages = request.dialogue.messages;
  ASSERT_EQ(messages.size(), 5u);
  EXPECT_EQ(messages[0].role, Role::system);
  EXPECT_EQ(messages[1].content, "ab");
  EXPECT_EQ(messages[2].reasoning_content, "hm");
  ASSERT_EQ(messages[2].tool_calls.size(), 1u);
  EXPECT_EQ(messages[2].tool_calls[0].arguments, "{\"x\":1}");
  EXPECT_EQ(messages[3].tool_call_id, "c1");
  EXPECT_TRUE(messages[4].prefix);
}

TEST(ChatRequest, MessagesThatAreWrongAreNamed) {
  const auto wrong = [](const std::string& messages) {
    return refusal([&] { read_chat_request(parse_body("{\"messages\":" + messages + "}")); });
  };
  EXPECT_EQ(refusal([] { read_chat_request(parse_body("{}")); }), "422 messages");
  EXPECT_EQ(refusal([] { read_chat_request(parse_body("[]")); }), "422 ");
  EXPECT_EQ(wrong("[]"), "422 messages");
  EXPECT_EQ(wrong("{}"), "422 messages");
  EXPECT_EQ(wrong("[5]"), "422 messages[0]");
  EXPECT_EQ(wrong("[{}]"), "422 messages[0].role");
  EXPECT_EQ(wrong(R"([{"role":"god"}])"), "422 messages[0].role");
  EXPECT_EQ(wrong(R"([{"role":"user","content":{}}])"), "422 messages[0].content");
  EXPECT_EQ(wrong(R"([{"role":"user","content":["x"]}])"), "422 messages[0].content[0]");
  EXPECT_EQ(wrong(R"([{"role":"user","content":[{"type":"image_url","image_url":{}}]}])"),
            "400 messages[0].content[0].type");
  EXPECT_EQ(wrong(R"([{"role":"assistant","prefix":true},{"role":"user"}])"),
            "400 messages[0].prefix");
  EXPECT_EQ(wrong(R"([{"role":"assistant","tool_calls":[{"function":{}}]}])"),
            "422 messages[0].tool_calls[0].function.name");
}

TEST(ChatRequest, ThinkingByEveryName) {
  EXPECT_EQ(read_chat_request(chat(R"("thinking":{"type":"enabled"})")).thinking, true);
  EXPECT_EQ(read_chat_request(chat(R"("thinking":{"type":"adaptive"})")).thinking, true);
  EXPECT_EQ(read_chat_request(chat(R"("thinking":{"type":"disabled"})")).thinking, false);
  EXPECT_EQ(read_chat_request(chat(R"("chat_template_kwargs":{"thinking":true})")).thinking, true);
  EXPECT_EQ(read_chat_request(chat(R"("chat_template_kwargs":{"enable_thinking":false})")).thinking,
            false);
  EXPECT_EQ(read_chat_request(chat(R"("reasoning_effort":"none")")).thinking, false);
  const ChatRequest low = read_chat_request(chat(R"("reasoning_effort":"low")"));
  EXPECT_EQ(low.thinking_budget, 1024);
  EXPECT_FALSE(low.thinking.has_value());
  EXPECT_TRUE(low.effort.has_value());
  EXPECT_EQ(read_chat_request(chat(R"("reasoning_effort":"max")")).effort, tokenizer::Effort::max);
  EXPECT_EQ(
      read_chat_request(chat(R"("reasoning_effort":"low","reasoning_budget":7)")).thinking_budget,
      7);
}

TEST(ChatRequest, ToolsChoiceAndFormat) {
  const std::string tools =
      R"("tools":[{"type":"function","function":{"name":"f","strict":true,
          "parameters":{"type":"object","properties":{"b":{},"a":{}}}}}])";
  ChatRequest request = read_chat_request(chat(tools + R"(,"tool_choice":"required")"));
  EXPECT_EQ(request.strict_tools, std::vector<bool>{true});
  EXPECT_EQ(request.tool_choice.kind, ToolChoice::Kind::required);
  // The order of keys is the client's.
  EXPECT_NE(request.dialogue.tools[0].parameters.find(R"({"b": {}, "a": {}})"), std::string::npos);
  request = read_chat_request(
      chat(tools + R"(,"tool_choice":{"type":"function","function":{"name":"f"}})"));
  EXPECT_EQ(request.tool_choice.name, "f");
  request = read_chat_request(chat(
      R"("response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}})"));
  EXPECT_EQ(request.format.kind, ResponseFormat::Kind::json_schema);
  EXPECT_EQ(request.format.schema, R"({"type":"object"})");
}

TEST(ChatRequest, ABiasOfMinus100ForbidsAToken) {
  const ChatRequest request = read_chat_request(chat(R"("logit_bias":{"5":-100,"6":1.5})"));
  ASSERT_EQ(request.logit_bias.size(), 2u);
  EXPECT_EQ(request.logit_bias[0].second, -std::numeric_limits<float>::infinity());
  EXPECT_EQ(request.logit_bias[1].second, 1.5f);
}

TEST(CompletionRequest, TextIdsAndFim) {
  CompletionRequest request =
      read_completion_request(parse_body(R"({"prompt":"a","suffix":"b","logprobs":3})"));
  EXPECT_EQ(request.prompt, "a");
  EXPECT_EQ(request.suffix, "b");
  EXPECT_EQ(request.logprobs, 3);
  EXPECT_EQ(read_completion_request(parse_body(R"({"prompt":["a"]})")).prompt, "a");
  EXPECT_EQ(read_completion_request(parse_body(R"({"prompt":[1,2]})")).prompt_ids,
            (std::vector<int32_t>{1, 2}));
  const auto wrong = [](const std::string& body) {
    return refusal([&] { read_completion_request(parse_body(body)); });
  };
  EXPECT_EQ(wrong("{}"), "422 prompt");
  EXPECT_EQ(wrong(R"({"prompt":[]})"), "422 prompt");
  EXPECT_EQ(wrong(R"({"prompt":[-1]})"), "422 prompt");
  EXPECT_EQ(wrong(R"({"prompt":[4294967296]})"), "422 prompt");
  EXPECT_EQ(wrong(R"({"prompt":["a","b"]})"), "422 prompt");
  EXPECT_EQ(wrong(R"({"prompt":"a","suffix":"b","echo":true})"), "400 echo");
  EXPECT_EQ(wrong(R"({"prompt":"a","logprobs":21})"), "422 logprobs");
}

TEST(AnthropicRequest, BlocksBecomeMessages) {
  const ChatRequest request = read_anthropic_request(parse_body(R"({
    "model":"m","max_tokens":9,"system":[{"type":"text","text":"S"}],"stop_sequences":["x"],
    "thinking":{"type":"enabled","budget_tokens":33},"metadata":{"user_id":"u"},
    "tools":[{"name":"f","description":"d","input_schema":{"type":"object"}}],
    "tool_choice":{"type":"any","disable_parallel_tool_use":true},
    "messages":[
      {"role":"user","content":"q"},
      {"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},
        {"type":"text","text":"a"},{"type":"tool_use","id":"i","name":"f","input":{"x":1}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"i","content":"r"},
        {"type":"text","text":"and?"}]}]})"));
  const auto& messages = request.dialogue.messages;
  ASSERT_EQ(messages.size(), 5u);
  EXPECT_EQ(messages[0].role, Role::system);
  EXPECT_EQ(messages[2].reasoning_content, "t");
  EXPECT_EQ(messages[2].tool_calls[0].arguments, R"({"x": 1})");
  EXPECT_EQ(messages[3].role, Role::tool);
  EXPECT_EQ(messages[3].tool_call_id, "i");
  EXPECT_EQ(messages[4].content, "and?");
  EXPECT_EQ(request.thinking_budget, 33);
  EXPECT_EQ(request.thinking, true);
  EXPECT_EQ(request.user_id, "u");
  EXPECT_EQ(request.stop, std::vector<std::string>{"x"});
  EXPECT_EQ(request.tool_choice.kind, ToolChoice::Kind::required);
  EXPECT_FALSE(request.parallel_tools);
  EXPECT_EQ(request.max_tokens, 9);
}

TEST(AnthropicRequest, ALastAssistantMessageIsContinued) {
  const ChatRequest request = read_anthropic_request(parse_body(
      R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"The"}]})"));
  EXPECT_TRUE(request.dialogue.messages.back().prefix);
}

TEST(AnthropicRequest, WhatIsWrongIsNamed) {
  const auto wrong = [](const std::string& body) {
    return refusal([&] { read_anthropic_request(parse_body(body)); });
  };
  const std::string hi = R"("messages":[{"role":"user","content":"q"}])";
  EXPECT_EQ(wrong("{}"), "422 messages");
  EXPECT_EQ(wrong("{" + hi + R"(,"system":5})"), "422 system");
  EXPECT_EQ(wrong("{" + hi + R"(,"tools":[{"name":"f"}]})"), "422 tools[0].input_schema");
  EXPECT_EQ(wrong("{" + hi + R"(,"tool_choice":{"type":"any"}})"), "400 tool_choice");
  EXPECT_EQ(wrong("{" + hi + R"(,"tool_choice":{"type":"tool","name":"f"}})"),
            "400 tool_choice.name");
  EXPECT_EQ(wrong(R"({"messages":[{"role":"system","content":"q"}]})"), "422 messages[0].role");
  EXPECT_EQ(wrong(R"({"messages":[{"role":"user"}]})"), "422 messages[0].content");
  EXPECT_EQ(wrong(R"({"messages":[{"role":"user","content":[{"type":"image"}]}]})"),
            "400 messages[0].content[0].type");
  EXPECT_EQ(wrong(R"({"messages":[{"role":"user","content":[]}]})"), "422 messages");
}

}  // namespace
}  // namespace hadal::server
