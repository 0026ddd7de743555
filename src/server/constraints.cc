#include "server/constraints.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"
#include "grammar/gbnf.h"
#include "grammar/json_mode.h"
#include "grammar/json_schema.h"
#include "server/api_error.h"
#include "server/json_fields.h"

namespace hadal::server {
namespace {

constexpr size_t kept_max = 16;
constexpr int64_t cache_bytes = int64_t{16} << 20;  // of one constraint
constexpr int64_t bytes_max = int64_t{2} << 30;     // of all that are in use
constexpr int retry_memory_s = 5;

grammar::Grammar make_grammar(const Json& json) {
  if (json.contains("gbnf")) return grammar::parse_gbnf(json.at("gbnf").get<std::string>());
  if (json.contains("json_schema"))
    return grammar::json_schema_grammar(json.at("json_schema").get<std::string>());
  return grammar::json_object_grammar();
}

}  // namespace

std::string describe_grammar(const std::string& gbnf) {
  return gbnf.empty() ? "" : Json{{"gbnf", gbnf}}.dump();
}

std::string describe_constraint(const ChatRequest& request) {
  using FormatKind = ResponseFormat::Kind;
  const bool has_format = request.format.kind != FormatKind::text;
  const bool has_tools =
      !request.dialogue.tools.empty() && request.tool_choice.kind != ToolChoice::Kind::none;
  if (!request.grammar.empty() && (has_format || has_tools))
    throw ApiError(400, "grammar: it excludes response_format and tools: leave out one of them",
                   "grammar");
  const tokenizer::Message& last = request.dialogue.messages.back();
  if (has_format && last.prefix && !last.content.empty())
    throw ApiError(
        400, "response_format: the answer has begun already, by prefix: leave out one of them",
        "response_format");
  if (!request.grammar.empty()) return describe_grammar(request.grammar);
  const ToolChoice::Kind choice = request.tool_choice.kind;
  if (choice == ToolChoice::Kind::required || choice == ToolChoice::Kind::named)
    throw ApiError(400, "tool_choice: this server cannot enforce it", "tool_choice");
  if (has_format && has_tools)
    throw ApiError(400, "response_format: it excludes tools: leave out one of them",
                   "response_format");
  if (!has_format) return "";
  if (request.format.kind == FormatKind::json_object) return Json{{"json_object", true}}.dump();
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
        make_grammar(json), model.engine->vocabulary(), limits, description));
  } catch (const grammar::SchemaError& error) {
    throw ApiError(400, error.what(), "response_format.json_schema.schema" + error.path());
  } catch (const Error& error) {
    throw ApiError(400, error.what(), json.contains("gbnf") ? "grammar" : "response_format");
  } catch (const Json::exception& error) {  // of a receipt that was made up
    throw ApiError(400, error.what());
  }
}

}  // namespace hadal::server
