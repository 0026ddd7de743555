// hadal serve when answers must have a form: the bundled model, which knows little of JSON, has to
// follow it all the same.
#include "e2e/server_process.h"
#include "e2e/test_model.h"

namespace hadal::e2e {
namespace {

class ServeFormatTest : public ModelTest {
 protected:
  void SetUp() override {
    ModelTest::SetUp();
    if (IsSkipped()) return;
    static const ServerProcess server(model_, {});
    server_ = &server;
    ASSERT_NE(server.port(), 0) << server.log();
  }
  Reply post(const std::string& path, const Json& body) {
    return HttpClient(server_->port()).post(path, body.dump());
  }
  // The model hardly knows JSON: of itself it would never end a string.
  Json inclined(Json body) {
    const Json tokens = post("/tokenize", {{"content", "\"}"}}).json()["tokens"];
    for (const Json& id : tokens) body["logit_bias"][std::to_string(id.get<int>())] = 8;
    return body;
  }
  Reply chat(const Json& body) { return post("/chat/completions", body); }

  const ServerProcess* server_ = nullptr;
};

TEST_F(ServeFormatTest, AJsonObjectIsOne) {
  int whole = 0;
  for (int seed = 0; seed < 6; ++seed) {
    Json body = user_says("Tell me about Ann as JSON.");
    body["response_format"] = {{"type", "json_object"}};
    body["temperature"] = seed * 0.4;
    body["seed"] = seed;
    body["max_tokens"] = 300;
    const Json reply = chat(inclined(body)).json();
    const Json& choice = reply["choices"][0];
    const std::string content = choice["message"]["content"];
    ASSERT_TRUE(content.starts_with("{")) << reply;
    if (choice["finish_reason"] == "length") continue;
    EXPECT_EQ(choice["finish_reason"], "stop");
    EXPECT_TRUE(Json::parse(content, nullptr, false).is_object()) << content;
    ++whole;
  }
  EXPECT_GT(whole, 0);
  Json body = user_says("Tell me about Ann as JSON.");
  body["response_format"] = {{"type", "json_object"}};
  body["max_tokens"] = 1;
  EXPECT_EQ(chat(body).json()["choices"][0]["finish_reason"], "length");
}

TEST_F(ServeFormatTest, ASchemaIsSatisfied) {
  Json body = user_says("Who is Ann?");
  body["response_format"] = Json::parse(R"({"type":"json_schema","json_schema":{"name":"person",
      "schema":{"type":"object","additionalProperties":false,"required":["name","age","tags"],
        "properties":{"name":{"type":"string","maxLength":12},
                      "age":{"type":"integer","minimum":18,"maximum":65},
                      "tags":{"type":"array","items":{"enum":["x","y"]},"maxItems":2}}}}})");
  body["max_tokens"] = 400;
  for (int seed = 0; seed < 4; ++seed) {
    body["seed"] = seed;
    body["temperature"] = seed * 0.5;
    const Json reply = chat(body).json();
    ASSERT_EQ(reply["choices"][0]["finish_reason"], "stop") << reply;
    const std::string content = reply["choices"][0]["message"]["content"];
    const Json value = Json::parse(content, nullptr, false);
    ASSERT_TRUE(value.is_object()) << content;
    EXPECT_EQ(value.size(), 3u) << content;
    EXPECT_LE(value["name"].get<std::string>().size(), 48u);
    EXPECT_GE(value["age"].get<int>(), 18) << content;
    EXPECT_LE(value["age"].get<int>(), 65) << content;
    EXPECT_LE(value["tags"].size(), 2u);
  }
  body["response_format"]["json_schema"]["schema"]["properties"]["age"]["not"] = Json::object();
  const Reply refused = chat(body);
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.json()["error"]["param"],
            "response_format.json_schema.schema#/properties/age/not");
}

TEST_F(ServeFormatTest, AGrammarIsFollowed) {
  Json body = user_says("What is 7 + 5?");
  body["grammar"] = R"(root ::= "The sum is " [0-9]{2} ".")";
  const Json reply = chat(body).json();
  const std::string content = reply["choices"][0]["message"]["content"];
  EXPECT_EQ(content.size(), 14u) << reply;
  EXPECT_TRUE(content.starts_with("The sum is ")) << content;
  EXPECT_EQ(reply["choices"][0]["finish_reason"], "stop");
  const Json completion =
      post("/completions", {{"prompt", "Once"}, {"grammar", R"(root ::= " upon " [a-z]{3} "!")"}})
          .json();
  EXPECT_TRUE(completion["choices"][0]["text"].get<std::string>().starts_with(" upon "));
  EXPECT_EQ(completion["choices"][0]["text"].get<std::string>().size(), 10u);
  for (const char* text : {"root ::= root", "root ::= (", "start ::= \"a\""}) {
    body["grammar"] = text;
    const Reply refused = chat(body);
    EXPECT_EQ(refused.status, 400) << text;
    EXPECT_EQ(refused.json()["error"]["param"], "grammar") << text;
  }
  body["grammar"] = "root ::= \"a\"";
  body["response_format"] = {{"type", "json_object"}};
  EXPECT_EQ(chat(body).status, 400);
}

}  // namespace
}  // namespace hadal::e2e
