#include "server/openapi.h"

#include <map>
#include <string_view>

#include "server/chat_request.h"
#include "server/json_fields.h"
#include "server/routes.h"

namespace hadal::server {
namespace {

Json number(double least, double most, const char* what) {
  return {{"type", "number"}, {"minimum", least}, {"maximum", most}, {"description", what}};
}

Json integer(int64_t least, int64_t most, const char* what) {
  return {{"type", "integer"}, {"minimum", least}, {"maximum", most}, {"description", what}};
}

Json text(const char* what) {
  return {{"type", "string"}, {"description", what}};
}

Json flag(const char* what) {
  return {{"type", "boolean"}, {"description", what}};
}

Json list_of(Json item, const char* what) {
  return {{"type", "array"}, {"items", std::move(item)}, {"description", what}};
}

Json any_object(const char* what) {
  return {{"type", "object"}, {"description", what}};
}

Json object(Json properties, Json required) {
  return {
      {"type", "object"}, {"properties", std::move(properties)}, {"required", std::move(required)}};
}

constexpr int64_t tokens_max = int64_t{1} << 31;

// Of every generating endpoint.
Json common_properties() {
  return {{"model", text("a name from /models")},
          {"temperature", number(0, temperature_max, "0: always the likeliest token")},
          {"top_p", number(0, 1, "keep the likeliest tokens up to this share")},
          {"top_k", integer(-1, 1 << 30, "extension; keep so many of the likeliest tokens")},
          {"min_p", number(0, 1, "extension; drop tokens below this share of the likeliest")},
          {"repetition_penalty", number(0.01, 100, "extension")},
          {"frequency_penalty", number(-penalty_max, penalty_max, "times the count")},
          {"presence_penalty", number(-penalty_max, penalty_max, "if there at all")},
          {"logit_bias", any_object("token id to -100 (never) ... 100")},
          {"seed", {{"type", "integer"}, {"description", "the same seed gives the same answer"}}},
          {"max_tokens", integer(1, tokens_max, "of the answer, reasoning included")},
          {"stop", {{"description", "a string, or at most 16 of them: the answer ends before"}}},
          {"n", integer(1, choices_max, "choices")},
          {"stream", flag("as server-sent events")},
          {"stream_options", object({{"include_usage", flag("")}}, Json::array())},
          {"ignore_eos", flag("extension; go on until max_tokens")},
          {"user_id", text("keeps the cached prefixes of end users apart")},
          {"grammar", text("extension; GBNF that the answer follows")},
          {"x_hadal", object({{"receipt", {{"description", "true, or \"full\""}}},
                              {"cost", flag("what the answer cost")}},
                             Json::array())}};
}

Json chat_schema() {
  Json properties = common_properties();
  properties["messages"] = list_of(any_object("role, content, ..."), "the dialogue");
  properties["max_completion_tokens"] = integer(1, tokens_max, "the newer name of max_tokens");
  properties["thinking"] = object({{"type", text("enabled, disabled or adaptive")}}, {"type"});
  properties["reasoning_effort"] = text("none, low, medium, high or max: a budget of tokens");
  properties["reasoning_budget"] = integer(-1, tokens_max, "extension; tokens of reasoning");
  properties["response_format"] =
      any_object("text, json_object or json_schema with its schema: enforced");
  properties["tools"] =
      list_of(any_object("a function; strict: its schema is kept to"), "at most 128");
  properties["tool_choice"] = {{"description", "none, auto, required or a function: enforced"}};
  properties["parallel_tool_calls"] = flag("false: one call at most");
  properties["logprobs"] = flag("");
  properties["top_logprobs"] = integer(0, top_logprobs_max, "needs logprobs");
  return object(std::move(properties), {"messages"});
}

Json completion_schema() {
  Json properties = common_properties();
  properties["prompt"] = {{"description", "a text, or an array of token ids"}};
  properties["suffix"] = text("the model writes what stands between prompt and suffix");
  properties["echo"] = flag("begin with the prompt");
  properties["logprobs"] = integer(0, top_logprobs_max, "of so many tokens beside each");
  return object(std::move(properties), {"prompt"});
}

Json messages_schema() {
  return object({{"model", text("a name from /models")},
                 {"max_tokens", integer(1, tokens_max, "of the answer, thinking included")},
                 {"messages", list_of(any_object("role, content"), "the dialogue")},
                 {"system", {{"description", "a text, or text blocks"}}},
                 {"stream", flag("as server-sent events")},
                 {"temperature", number(0, temperature_max, "")},
                 {"top_p", number(0, 1, "")},
                 {"stop_sequences", list_of(text(""), "")},
                 {"thinking", any_object("type, budget_tokens")},
                 {"tools", list_of(any_object("name, description, input_schema"), "")},
                 {"tool_choice", any_object("auto, any, tool or none")},
                 {"metadata", object({{"user_id", text("")}}, Json::array())}},
                {"messages"});
}

struct Described {
  const char* summary;
  Json body;  // null: none
};

Described describe(Endpoint endpoint) {
  switch (endpoint) {
    case Endpoint::livez:
      return {"Whether the process answers", nullptr};
    case Endpoint::readyz:
      return {"Whether the model is loaded: 503 with progress until then", nullptr};
    case Endpoint::metrics:
      return {"Counters in Prometheus' text form", nullptr};
    case Endpoint::openapi:
      return {"This document", nullptr};
    case Endpoint::models:
      return {"The names that are served", nullptr};
    case Endpoint::model:
      return {"One of them", nullptr};
    case Endpoint::balance:
      return {"The tokens left to the key", nullptr};
    case Endpoint::chat:
      return {"Answer a dialogue", chat_schema()};
    case Endpoint::completions:
      return {"Continue a text, or fill in its middle", completion_schema()};
    case Endpoint::messages:
      return {"Answer a dialogue in Anthropic's form", messages_schema()};
    case Endpoint::count_tokens:
      return {"Tokens of such a dialogue", messages_schema()};
    case Endpoint::embeddings:
      return {"Mean hidden states of texts, of length 1",
              object({{"model", text("")},
                      {"input", {{"description", "a text, texts, or token ids"}}},
                      {"encoding_format", text("float or base64")}},
                     {"input"})};
    case Endpoint::tokenize:
      return {"Text to token ids", object({{"content", text("")},
                                           {"add_special", flag("begin with bos")},
                                           {"with_pieces", flag("")}},
                                          {"content"})};
    case Endpoint::detokenize:
      return {"Token ids to text",
              object({{"tokens", list_of({{"type", "integer"}}, "")}}, {"tokens"})};
    case Endpoint::apply_template:
      return {"The prompt that a dialogue becomes", chat_schema()};
  }
  return {"", nullptr};
}

std::string make_document() {
  Json paths = Json::object();
  for (const Route& route : routes()) {
    Described described = describe(route.endpoint);
    std::string path(route.path);
    Json operation = {
        {"summary", described.summary},
        {"responses",
         {{"200", {{"description", "done"}}}, {"default", {{"description", "an error"}}}}}};
    if (path.ends_with('/')) {
      path += "{id}";
      operation["parameters"] = {
          {{"name", "id"}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}}};
    }
    if (!described.body.is_null())
      operation["requestBody"] = {
          {"required", true},
          {"content", {{"application/json", {{"schema", std::move(described.body)}}}}}};
    operation["security"] = route.open ? Json::array() : Json{{{"bearer", Json::array()}}};
    paths[path][route.method == "GET" ? "get" : "post"] = std::move(operation);
  }
  const Json document = {
      {"openapi", "3.1.0"},
      {"info",
       {{"title", "Hadal"},
        {"version", "1"},
        {"description", "DeepSeek's API, and the forms of OpenAI and Anthropic beside it"}}},
      {"components", {{"securitySchemes", {{"bearer", {{"type", "http"}, {"scheme", "bearer"}}}}}}},
      {"paths", std::move(paths)}};
  return document.dump();
}

}  // namespace

const std::string& openapi_document() {
  static const std::string document = make_document();
  return document;
}

}  // namespace hadal::server
