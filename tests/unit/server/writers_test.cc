// Events to the bytes of each API.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "server/generation.h"
#include "server/receipt.h"
#include "server/routes.h"
#include "server/spellings.h"
#include "server/text.h"
#include "server/writer.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/dialogue.h"
#include "unit/infer/tiny_engine.h"

namespace hadal::server {
namespace {

using Json = nlohmann::ordered_json;
using infer::Event;
using infer::FinishReason;
using tokenizer::Generation;

const tokenizer::Tokenizer& tiny() {
  static const tokenizer::Tokenizer tokenizer = testing::tiny_tokenizer();
  return tokenizer;
}

WriterHead head(bool thinking = false) {
  WriterHead head;
  head.id = "id";
  head.model = "m\"";
  head.fingerprint = "fp";
  head.tokenizer = &tiny();
  head.thinking = head.starts_thinking = thinking;
  head.generation = thinking ? Generation::r1 : Generation::qwen3;
  return head;
}

// Drives a writer as an answer does: text byte by byte (the tiny vocabulary is one of bytes).
class Driver {
 public:
  explicit Driver(size_t choices = 1) : choices_(choices) {
    account.stats.resize(choices);
    account.unfinished = choices;
  }
  std::string run(Writer& writer, const std::vector<std::string>& texts,
                  FinishReason reason = FinishReason::stop, const std::string& stop = "") {
    std::string out;
    writer.begin(out);
    for (size_t i = 0; i < choices_; ++i) {
      for (const char c : texts[i]) {
        Event event;
        event.token = testing::tiny_first_text + static_cast<unsigned char>(c);
        if (c == '\1') event.token = testing::tiny_think_end;
        event.text = c == '\1' ? "" : std::string(1, c);
        event.logprob = -0.5f;
        writer.take(i, event, out);
      }
      Event finish;
      finish.kind = Event::Kind::finish;
      finish.reason = reason;
      finish.stop = stop;
      finish.stats.prompt_tokens = 10;
      finish.stats.cached_tokens = 4;
      finish.stats.generated_tokens = static_cast<int64_t>(texts[i].size());
      account.stats[i] = finish.stats;
      --account.unfinished;
      writer.take(i, finish, out);
    }
    writer.end(out);
    return out;
  }
  Account account;

 private:
  size_t choices_;
};

std::vector<Json> events_of(const std::string& out) {
  std::vector<Json> events;
  for (size_t at = 0; (at = out.find("data: ", at)) != std::string::npos; at += 6) {
    const std::string data = out.substr(at + 6, out.find("\n\n", at) - at - 6);
    if (data != "[DONE]") events.push_back(Json::parse(data));
  }
  return events;
}

// In the one form whose markup is text, which a vocabulary of bytes can spell.
constexpr const char* kCalls =
    "Let me look.<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Ulm\"}}</tool_call>"
    "<tool_call>{\"name\": \"time\", \"arguments\": {}}</tool_call>";

TEST(ChatWriter, WholeAndStreamedSayTheSame) {
  for (const std::string text : {"thought\1\n\nÄnswer 世界 😀", "\1only", "never ends"}) {
    Driver whole, streamed;
    const auto w = chat_whole_writer(head(true), whole.account);
    const auto s = chat_stream_writer(head(true), streamed.account);
    const Json message = Json::parse(whole.run(*w, {text}))["choices"][0]["message"];
    std::string content, reasoning;
    for (const Json& event : events_of(streamed.run(*s, {text}))) {
      const Json& delta = event["choices"][0]["delta"];
      if (delta["content"].is_string()) content += delta["content"].get<std::string>();
      if (delta["reasoning_content"].is_string())
        reasoning += delta["reasoning_content"].get<std::string>();
    }
    EXPECT_EQ(message["content"], content);
    EXPECT_EQ(message["reasoning_content"], reasoning);
  }
}

TEST(ChatWriter, ToolCallsHaveTheRecordedShape) {
  Driver driver;
  const auto writer = chat_stream_writer(head(), driver.account);
  const std::string out = driver.run(*writer, {kCalls});
  EXPECT_EQ(out.find("tool_call>"), std::string::npos);
  std::string content;
  std::vector<std::string> names, arguments(2), ids;
  const std::vector<Json> events = events_of(out);
  for (const Json& event : events) {
    const Json& delta = event["choices"][0]["delta"];
    if (delta.contains("content") && delta["content"].is_string())
      content += delta["content"].get<std::string>();
    if (!delta.contains("tool_calls")) continue;
    const Json& call = delta["tool_calls"][0];
    const size_t index = call["index"];
    if (call.contains("id")) {
      names.push_back(call["function"]["name"]);
      ids.push_back(call["id"]);
      EXPECT_EQ(call["type"], "function");
      EXPECT_EQ(call["function"]["arguments"], "");
    } else {
      arguments[index] += call["function"]["arguments"].get<std::string>();
    }
  }
  EXPECT_EQ(content, "Let me look.");
  EXPECT_EQ(names, (std::vector<std::string>{"weather", "time"}));
  EXPECT_EQ(Json::parse(arguments[0])["city"], "Ulm");
  EXPECT_EQ(Json::parse(arguments[1]), Json::object());
  EXPECT_TRUE(ids[0].starts_with("call_00_"));
  EXPECT_NE(ids[0], ids[1]);
  EXPECT_EQ(events.back()["choices"][0]["finish_reason"], "tool_calls");

  Driver again;
  const auto whole = chat_whole_writer(head(), again.account);
  const Json json = Json::parse(again.run(*whole, {kCalls}));
  EXPECT_EQ(json["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "weather");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "tool_calls");
}

TEST(ChatWriter, UsageComesOnceAtTheEndOverAllChoices) {
  Driver driver(2);
  const auto writer = chat_stream_writer(head(), driver.account);
  int with_usage = 0;
  const std::vector<Json> events = events_of(driver.run(*writer, {"abc", "de"}));
  for (const Json& event : events) with_usage += event["usage"].is_object() ? 1 : 0;
  EXPECT_EQ(with_usage, 1);
  const Json& usage = events.back()["usage"];
  EXPECT_EQ(usage["prompt_tokens"], 10);
  EXPECT_EQ(usage["completion_tokens"], 5);
  EXPECT_EQ(usage["total_tokens"], 15);
  EXPECT_EQ(usage["prompt_cache_hit_tokens"], 4);
  EXPECT_EQ(usage["prompt_cache_miss_tokens"], 6);
}

TEST(ChatWriter, OpenaisUsageChunkIsExtra) {
  Driver driver;
  WriterHead strict = head();
  strict.usage_chunk = true;
  const auto writer = chat_stream_writer(strict, driver.account);
  const std::vector<Json> events = events_of(driver.run(*writer, {"a"}));
  EXPECT_TRUE(events.back()["choices"].empty());
  EXPECT_EQ(events.back()["usage"]["prompt_tokens"], 10);
}

TEST(ChatWriter, ErrorsInTheMiddleAreToldAndTheStreamEnds) {
  Driver driver;
  std::string out;
  chat_stream_writer(head(), driver.account)->fail(ApiError(500, "broken \"x\""), out);
  EXPECT_EQ(events_of(out)[0]["error"]["message"], "broken \"x\"");
  EXPECT_TRUE(out.ends_with("data: [DONE]\n\n"));
}

TEST(ChatWriter, InvalidBytesBecomeReplacementCharacters) {
  Driver driver;
  WriterHead with = head();
  with.logprobs = true;
  const auto writer = chat_whole_writer(with, driver.account);
  const Json json = Json::parse(driver.run(*writer, {"a\xFF\xC3"}));
  EXPECT_EQ(json["choices"][0]["message"]["content"], "a\uFFFD\uFFFD");
  const Json& list = json["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[1]["bytes"], Json::parse("[255]"));
  EXPECT_EQ(list[1]["token"], "\uFFFD");
  EXPECT_EQ(list[0]["logprob"], -0.5);
}

TEST(AnthropicWriter, BlocksInOrder) {
  Driver driver, again;
  WriterHead thinking = head(true);
  thinking.generation = Generation::qwen3;
  const std::string text = std::string("hm\1") + kCalls;
  const auto writer = anthropic_stream_writer(thinking, driver.account);
  std::vector<std::string> blocks;
  std::string json, thought;
  for (const Json& event : events_of(driver.run(*writer, {text}))) {
    if (event["type"] == "content_block_start") blocks.push_back(event["content_block"]["type"]);
    if (event["type"] != "content_block_delta") continue;
    if (event["delta"]["type"] == "thinking_delta") thought += event["delta"]["thinking"];
    if (event["delta"]["type"] == "input_json_delta" && event["index"] == 2)
      json += event["delta"]["partial_json"];
  }
  EXPECT_EQ(blocks, (std::vector<std::string>{"thinking", "text", "tool_use", "tool_use"}));
  EXPECT_EQ(thought, "hm");
  EXPECT_EQ(Json::parse(json)["city"], "Ulm");
  const auto whole = anthropic_whole_writer(thinking, again.account);
  const Json message = Json::parse(again.run(*whole, {text}));
  ASSERT_EQ(message["content"].size(), 4u);
  EXPECT_EQ(message["content"][0]["thinking"], "hm");
  EXPECT_EQ(message["content"][1]["text"], "Let me look.");
  EXPECT_EQ(message["content"][2]["input"]["city"], "Ulm");
  EXPECT_EQ(message["content"][3]["input"], Json::object());
  EXPECT_EQ(message["stop_reason"], "tool_use");
  EXPECT_EQ(message["usage"]["input_tokens"], 6);
  EXPECT_EQ(message["usage"]["cache_read_input_tokens"], 4);
}

TEST(ChatWriter, ACallThatAStopStringCutIsNotToBeRun) {
  WriterHead dsml = head();
  dsml.generation = Generation::v32;
  const std::string cut =
      "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"weather\">\n"
      "<｜DSML｜parameter name=\"city\" string=\"true\">Ul";
  const std::string call =
      cut + "m</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>";
  const auto answer = [&](const std::string& text, const std::string& stop, auto make) {
    Driver driver;
    const auto writer = make(dsml, driver.account);
    return Json::parse(driver.run(*writer, {text}, FinishReason::stop, stop));
  };
  const Json stopped = answer(cut, "m", chat_whole_writer)["choices"][0];
  EXPECT_EQ(stopped["finish_reason"], "stop");
  EXPECT_EQ(stopped["message"]["tool_calls"][0]["function"]["arguments"], R"({"city": "Ul)");
  EXPECT_EQ(answer(cut, "m", anthropic_whole_writer)["stop_reason"], "stop_sequence");
  EXPECT_EQ(answer(call, "", chat_whole_writer)["choices"][0]["finish_reason"], "tool_calls");
}

TEST(AnthropicWriter, ReasonsToStop) {
  const auto reason = [](FinishReason why, const std::string& stop) {
    Driver driver;
    const auto writer = anthropic_whole_writer(head(), driver.account);
    return Json::parse(driver.run(*writer, {"x"}, why, stop));
  };
  EXPECT_EQ(reason(FinishReason::stop, "")["stop_reason"], "end_turn");
  EXPECT_EQ(reason(FinishReason::length, "")["stop_reason"], "max_tokens");
  EXPECT_EQ(reason(FinishReason::stop, "END")["stop_reason"], "stop_sequence");
  EXPECT_EQ(reason(FinishReason::stop, "END")["stop_sequence"], "END");
}

TEST(CompletionWriter, SplitCharactersWaitForTheirRest) {
  Driver driver;
  const auto writer = completion_stream_writer(head(), driver.account, "echo ");
  std::string text;
  for (const Json& event : events_of(driver.run(*writer, {"世😀\xE4"}))) {
    const std::string piece = event["choices"][0]["text"];
    text += piece;
  }
  EXPECT_EQ(text, "echo 世😀\uFFFD");
}

TEST(GenerationQueue, HoldsWhatFitsAndTellsWhenItDoesNot) {
  server::Generation generation(1, 4 * sizeof(server::Generation::Item), true);
  Event progress;
  progress.kind = Event::Kind::progress;
  for (int i = 0; i < 100; ++i) {  // only the last one counts
    progress.prompt_done = i;
    EXPECT_TRUE(generation.push(0, progress, 0.5));
  }
  Event token;
  EXPECT_TRUE(generation.push(0, token, 0));
  EXPECT_EQ(generation.take().size(), 2u);
  EXPECT_EQ(generation.cpu_s(), 50);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(generation.push(0, token, 0));
  EXPECT_FALSE(generation.push(0, token, 0));
  EXPECT_TRUE(generation.overflowed());
  Event finish;
  finish.kind = Event::Kind::finish;
  generation.push(0, finish, 0);
  EXPECT_EQ(generation.take().back().event.kind, Event::Kind::finish);
}

TEST(SpellingMemory, AnswersComeBackAsTheyWereSpelt) {
  // The bytes are their own ids, 256 is "ab", then come the special tokens.
  std::vector<std::string> texts;
  for (int byte = 0; byte < 256; ++byte)
    texts.push_back(tokenizer::alphabet_spelling(std::string(1, static_cast<char>(byte))));
  for (const char* text :
       {"ab", "<｜begin▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"})
    texts.emplace_back(text);
  constexpr int32_t ab = 256, bos = 257, user = 258, assistant = 259, eos = 260;
  tokenizer::TokenizerParts parts;
  parts.pre = "gpt-2";
  for (const std::string& text : texts) {
    parts.tokens.emplace_back(text);
    parts.types.push_back(parts.tokens.size() > 257 ? 3 : 1);
  }
  parts.merges = {"a b"};
  const auto tokenizer = tokenizer::Tokenizer::from_parts(parts, "test");
  ASSERT_EQ(tokenizer.encode("ab"), std::vector<int32_t>{ab});
  Spellings spellings(1000);
  spellings.learn(tokenizer, 7, {'a', 'b', eos, ab, eos, 'a'});
  EXPECT_EQ(spellings.find(7, "ab"), (std::vector<int32_t>{'a', 'b'}));
  EXPECT_EQ(spellings.find(8, "ab"), std::nullopt);
  EXPECT_EQ(spellings.find(7, "a"), std::nullopt);  // as encode() has it
  tokenizer::EncodeOptions options;
  options.spelling = [&](std::string_view run) { return spellings.find(7, run); };
  tokenizer::Dialogue dialogue;
  dialogue.messages.resize(3);
  dialogue.messages[0].content = "b";
  dialogue.messages[1].role = tokenizer::Role::assistant;
  dialogue.messages[1].content = "ab";
  dialogue.messages[2].content = "a";
  EXPECT_EQ(encode_dialogue(tokenizer, Generation::v3, dialogue, options),
            (std::vector<int32_t>{bos, user, 'b', assistant, 'a', 'b', eos, user, 'a', assistant}));
  for (int i = 1; i < 20; ++i) {  // the oldest goes
    std::vector<int32_t> longer;
    for (int k = 0; k < i; ++k) longer.insert(longer.end(), {'a', 'b'});
    spellings.learn(tokenizer, 7, longer);
    EXPECT_LE(spellings.bytes(), 1000u);
  }
  EXPECT_EQ(spellings.find(7, "ab"), std::nullopt);
}

TEST(Receipts, ReadBackWhatTheyWrite) {
  ServedModel model;
  model.id = "m";
  model.hash = std::string(64, 'a');
  model.precision = "f32";
  infer::Request request;
  request.prompt = {1, 2, 300};
  request.sampling.temperature = 0.7;
  request.sampling.logit_bias = {{5, -std::numeric_limits<float>::infinity()}, {6, 0.25f}};
  request.stop = {"\n", "世"};
  request.thinking.close = {2};
  Driver driver;
  driver.account.stats[0].seed = 0xFFFFFFFFFFFFFFFF;
  const std::string text = receipt_json(model, request, driver.account, {{7, 8}}, true);
  const Receipt receipt = read_receipt("{\"x_hadal\":{\"receipt\":" + text + "}}");
  EXPECT_EQ(receipt.request.prompt, request.prompt);
  EXPECT_EQ(receipt.request.sampling.temperature, 0.7);
  EXPECT_EQ(receipt.request.sampling.logit_bias, request.sampling.logit_bias);
  EXPECT_EQ(receipt.request.stop, request.stop);
  EXPECT_EQ(receipt.outputs[0].seed, 0xFFFFFFFFFFFFFFFF);
  EXPECT_EQ(receipt.outputs[0].hash, hash_ids({7, 8}));
  std::string forged = text;
  forged.replace(forged.find("0.7"), 3, "0.8");
  EXPECT_THROW(read_receipt(forged), Error);
  EXPECT_THROW(read_receipt("{}"), Error);
  EXPECT_THROW(read_receipt("[1"), Error);
}

TEST(Routes, MethodsAndPaths) {
  EXPECT_EQ(find_route("POST", "/beta/chat/completions").route->endpoint, Endpoint::chat);
  EXPECT_EQ(find_route("GET", "/v1/models/a/b").route->endpoint, Endpoint::model);
  EXPECT_EQ(find_route("GET", "/v1/models/").route, nullptr);
  EXPECT_EQ(find_route("GET", "/chat/completions").route, nullptr);
  EXPECT_EQ(find_route("GET", "/chat/completions").allowed, "POST");
  EXPECT_EQ(find_route("GET", "/chat/completions/").allowed, "");
  EXPECT_EQ(find_route("GET", "//livez").allowed, "");
}

TEST(Text, HashesAsOthersDo) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_TRUE(equal_in_constant_time("ab", "ab"));
  EXPECT_FALSE(equal_in_constant_time("ab", "ac"));
  EXPECT_FALSE(equal_in_constant_time("ab", "abc"));
  EXPECT_NE(random_hex(16), random_hex(16));
}

}  // namespace
}  // namespace hadal::server
