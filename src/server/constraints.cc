#include "server/constraints.h"

#include <algorithm>
#include <functional>
#include <vector>

#include <fmt/format.h>

#include "base/error.h"
#include "grammar/gbnf.h"
#include "grammar/json_mode.h"
#include "grammar/json_schema.h"
#include "grammar/tool_calls.h"
#include "server/api_error.h"
#include "server/json_fields.h"

namespace hadal::server {
namespace {

constexpr size_t kept_max = 16;
constexpr int64_t cache_bytes = int64_t{16} << 20;  // of one constraint
constexpr int64_t bytes_max = int64_t{2} << 30;     // of all that are in use
constexpr int retry_memory_s = 5;

grammar::Grammar tool_grammar(const ServedModel& model, const Json& json) {
  if (!model.generation)
    fail(ErrorKind::usage, "{} has no dialogues, so it calls no tools", model.id);
  std::vector<grammar::CallableTool> tools;
  for (const Json& tool : json.at("tools"))
    tools.push_back({tool.at("name").get<std::string>(), tool.at("parameters").get<std::string>(),
                     tool.at("strict").get<bool>(), tool.at("path").get<std::string>()});
  grammar::ToolCallOptions options;
  options.required = json.at("required").get<bool>();
  options.parallel = json.at("parallel").get<bool>();
  if (json.contains("response")) options.response_schema = json.at("response").get<std::string>();
  return grammar::tool_call_grammar(*model.loaded.tokenizer, *model.generation, tools, options);
}

grammar::Grammar make_grammar(const ServedModel& model, const Json& json) {
  if (json.contains("gbnf")) return grammar::parse_gbnf(json.at("gbnf").get<std::string>());
  if (json.contains("tools")) return tool_grammar(model, json);
  if (json.contains("json_schema"))
    return grammar::json_schema_grammar(json.at("json_schema").get<std::string>());
  return grammar::json_object_grammar();
}

// Of calls, and of what may be answered instead. A function by name is called once.
std::string describe_tools(const ChatRequest& request) {
  const ToolChoice& choice = request.tool_choice;
  const bool is_named = choice.kind == ToolChoice::Kind::named;
  Json tools = Json::array();
  if (choice.kind != ToolChoice::Kind::none) {
    for (size_t i = 0; i < request.dialogue.tools.size(); ++i) {
      const tokenizer::Tool& tool = request.dialogue.tools[i];
      if (is_named && tool.name != choice.name) continue;
      tools.push_back({{"name", tool.name},
                       {"parameters", tool.parameters},
                       {"strict", static_cast<bool>(request.strict_tools[i])},
                       {"path", fmt::format("tools[{}].{}", i, request.tool_schema_key)}});
    }
  }
  Json json = {{"tools", std::move(tools)},
               {"required", is_named || choice.kind == ToolChoice::Kind::required},
               {"parallel", request.parallel_tools && !is_named}};
  if (request.format.kind != ResponseFormat::Kind::text) json["response"] = request.format.schema;
  return json.dump();
}

}  // namespace

std::string describe_grammar(const std::string& gbnf) {
  return gbnf.empty() ? "" : Json{{"gbnf", gbnf}}.dump();
}

std::string describe_constraint(const ChatRequest& request) {
  using ChoiceKind = ToolChoice::Kind;
  const ChoiceKind choice = request.tool_choice.kind;
  const bool has_format = request.format.kind != ResponseFormat::Kind::text;
  const bool are_known = !request.dialogue.tools.empty();
  const bool has_tools = are_known && choice != ChoiceKind::none;
  const bool must_call = choice == ChoiceKind::required || choice == ChoiceKind::named;
  if (!request.grammar.empty() && (has_format || has_tools))
    throw ApiError(400, "grammar: it excludes response_format and tools: leave out one of them",
                   "grammar");
  const tokenizer::Message& last = request.dialogue.messages.back();
  if ((has_format || must_call) && last.prefix && !last.content.empty()) {
    const char* field = has_format ? "response_format" : "tool_choice";
    throw ApiError(
        400,
        fmt::format("{}: the answer has begun already, by prefix: leave out one of them", field),
        field);
  }
  if (!request.grammar.empty()) return describe_grammar(request.grammar);
  if (has_tools) {
    const bool is_free = !must_call && !has_format && request.parallel_tools &&
                         std::ranges::none_of(request.strict_tools, std::identity());
    return is_free ? "" : describe_tools(request);
  }
  if (!has_format) return are_known ? describe_tools(request) : "";
  if (request.format.kind == ResponseFormat::Kind::json_object)
    return Json{{"json_object", true}}.dump();
  return Json{{"json_schema", request.format.schema}}.dump();
}

std::shared_ptr<const grammar::Constraint> Constraints::find(const std::string& description) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& item) {
    return item->description() == description;
  });
  if (found == kept_.end()) return nullptr;
  kept_.splice(kept_.begin(), kept_, found);
  return kept_.front();
}

std::shared_ptr<const grammar::Constraint> Constraints::keep(Kept made) {
  const std::lock_guard lock(mutex_);
  std::erase_if(all_, [](const auto& item) { return item.expired(); });
  int64_t bytes = made->bytes();
  for (const auto& item : all_)
    if (const Kept used = item.lock()) bytes += used->bytes();
  if (bytes > bytes_max) {
    ApiError error(429, "the grammars of the answers under way take too much memory: try again");
    error.retry_after_s = retry_memory_s;
    throw error;
  }
  all_.push_back(made);
  kept_.push_front(made);
  if (kept_.size() > kept_max) kept_.pop_back();
  return made;
}

std::shared_ptr<const grammar::Constraint> Constraints::get(const ServedModel& model,
                                                            const std::string& description) {
  if (description.empty()) return nullptr;
  if (Kept found = find(description)) return found;
  const Json json = parse_body(description);
  try {
    grammar::ConstraintLimits limits;
    limits.cache_bytes = cache_bytes;
    return keep(std::make_shared<const grammar::Constraint>(
        make_grammar(model, json), model.engine->vocabulary(), limits, description));
  } catch (const grammar::SchemaError& error) {
    const bool is_of_tool = error.path().starts_with("tools");
    throw ApiError(400, error.what(),
                   (is_of_tool ? "" : "response_format.json_schema.schema") + error.path());
  } catch (const Error& error) {
    throw ApiError(400, error.what(),
                   json.contains("gbnf")    ? "grammar"
                   : json.contains("tools") ? "tools"
                                            : "response_format");
  } catch (const Json::exception& error) {  // of a receipt that was made up
    throw ApiError(400, error.what());
  }
}

}  // namespace hadal::server
