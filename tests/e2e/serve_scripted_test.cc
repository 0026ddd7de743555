// hadal serve on a model that says what a script has: what the bundled model never does.
#include <fstream>

#include "e2e/process.h"
#include "e2e/scripted_model.h"
#include "e2e/server_process.h"
#include "e2e/test_model.h"

namespace hadal::e2e {
namespace {

class ServeScriptedTest : public ModelTest {
 protected:
  Reply post(const ServerProcess& server, const std::string& path, const Json& body) {
    return HttpClient(server.port()).post(path, body.dump());
  }
  std::string write(const Script& script) {
    const std::string path = folder_ + "/scripted.gguf";
    ScriptedModel(script).write(path);
    return path;
  }
};

// The texts of a field of a stream's deltas, or of its choices, in one.
std::string joined(const Reply& reply, const std::string& part, const std::string& field) {
  std::string text;
  for (const std::string& data : reply.events()) {
    if (data == "[DONE]") continue;
    const Json choice = Json::parse(data)["choices"][0];
    const Json& holder = part.empty() ? choice : choice[part];
    if (holder.contains(field) && holder[field].is_string())
      text += holder[field].get<std::string>();
  }
  return text;
}

TEST_F(ServeScriptedTest, HolesAreFilled) {
  const ServerProcess server(write(talking_script()));
  Json body = {{"prompt", "def add(a, b):\n"}, {"suffix", "\nprint(add(1, 2))"}};
  const Json choice = post(server, "/beta/completions", body).json()["choices"][0];
  EXPECT_EQ(choice["text"], "    return a + b\n");
  EXPECT_EQ(choice["finish_reason"], "stop");
  body["stream"] = true;
  EXPECT_EQ(joined(post(server, "/completions", body), "", "text"), "    return a + b\n");
  body["stop"] = {"n a +"};
  EXPECT_EQ(joined(post(server, "/completions", body), "", "text"), "    retur");
  // Markers that are spelt in the text are text: the hole stays where the server put it.
  body = {{"prompt", "<｜fim▁end｜>"}, {"max_tokens", 2}};
  EXPECT_EQ(post(server, "/completions", body).json()["choices"][0]["text"], "la la ");
}

TEST_F(ServeScriptedTest, ThoughtsAreKeptApartAndTheirBudgetEndsThem) {
  const ServerProcess server(write(talking_script()));
  const std::string greeting = "Hello, world! 你好世界 🌍 Bye";
  Json body = user_says("Hi");
  body["model"] = "deepseek-reasoner";
  Json message = post(server, "/chat/completions", body).json()["choices"][0]["message"];
  EXPECT_EQ(message["reasoning_content"], "The user greets me; I greet back.");
  EXPECT_EQ(message["content"], greeting);
  body["stream"] = true;
  Reply reply = post(server, "/chat/completions", body);
  EXPECT_EQ(joined(reply, "delta", "reasoning_content"), "The user greets me; I greet back.");
  EXPECT_EQ(joined(reply, "delta", "content"), greeting);
  body["reasoning_budget"] = 2;
  reply = post(server, "/chat/completions", body);
  EXPECT_EQ(joined(reply, "delta", "reasoning_content"), "The user greets ");
  EXPECT_EQ(joined(reply, "delta", "content"), greeting);
}

TEST_F(ServeScriptedTest, AToolIsCalledAndItsResultTold) {
  const ServerProcess server(write(calling_script()));
  Json body = user_says("Weather in Paris?");
  body["tools"] = {{{"type", "function"},
                    {"function", {{"name", "get_weather"}, {"parameters", Json::object()}}}}};
  const Json choice = post(server, "/chat/completions", body).json()["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_EQ(choice["message"]["content"], "");
  const Json& call = choice["message"]["tool_calls"][0];
  EXPECT_EQ(call["function"]["name"], "get_weather");
  EXPECT_EQ(call["function"]["arguments"], R"({"city": "Paris"})");
  body["messages"].push_back(choice["message"]);
  body["messages"].push_back(
      {{"role", "tool"}, {"tool_call_id", call["id"]}, {"content", "sunny"}});
  const Json told = post(server, "/chat/completions", body).json()["choices"][0];
  EXPECT_EQ(told["message"]["content"], "It is sunny in Paris");
  EXPECT_EQ(told["finish_reason"], "stop");
}

// What a function demands is kept to, and a receipt of it can be verified.
TEST_F(ServeScriptedTest, CallsAreMadeOrLeftAsTheRequestSays) {
  const std::string path = write(talking_script());
  const ServerProcess server(path);
  Json body = user_says("Hi");
  body["tools"] = Json::parse(R"([{"type":"function","function":{"name":"clock"}},
      {"type":"function","function":{"name":"get_weather","parameters":{"type":"object",
       "properties":{"city":{"enum":["Rome"]},"days":{"type":"integer","maximum":3}},
       "required":["city","days"]}}}])");
  body["tool_choice"] = {{"type", "function"}, {"function", {{"name", "get_weather"}}}};
  body["x_hadal"] = {{"receipt", "full"}};
  for (const char* model : {"deepseek-chat", "deepseek-reasoner"}) {
    body["model"] = model;
    const Json reply = post(server, "/chat/completions", body).json();
    const Json& choice = reply["choices"][0];
    EXPECT_EQ(choice["finish_reason"], "tool_calls") << reply;
    ASSERT_EQ(choice["message"]["tool_calls"].size(), 1u) << reply;
    const Json& function = choice["message"]["tool_calls"][0]["function"];
    EXPECT_EQ(function["name"], "get_weather");
    const Json arguments = Json::parse(function["arguments"].get<std::string>());
    EXPECT_EQ(arguments["city"], "Rome");
    EXPECT_LE(arguments["days"].get<int>(), 3);
    EXPECT_EQ(arguments.size(), 2u);
    const std::string receipt = folder_ + "/receipt.json";
    std::ofstream(receipt) << reply;
    const Outcome replayed = run_program({"replay", receipt, "-m", path});
    EXPECT_EQ(replayed.code, 0) << replayed.err << replayed.out;
  }
  body["tool_choice"] = "required";
  const Json calls = post(server, "/chat/completions", body).json()["choices"][0]["message"];
  EXPECT_EQ(calls["tool_calls"][0]["function"]["name"], "clock");
  body["tool_choice"] = "none";
  const Json text = post(server, "/chat/completions", body).json()["choices"][0]["message"];
  EXPECT_EQ(text["content"], "Hello, world! 你好世界 🌍 Bye");
  EXPECT_FALSE(text.contains("tool_calls"));
}

}  // namespace
}  // namespace hadal::e2e
