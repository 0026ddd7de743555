#include "grammar/tool_calls.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "grammar/gbnf.h"
#include "grammar/json_mode.h"
#include "grammar/schema_writer.h"
#include "tokenizer/stream_markup.h"

namespace hadal::grammar {
namespace {

using tokenizer::Generation;
using tokenizer::Marker;

// The markup around calls, special tokens spelt.
struct Form {
  std::string_view indent;  // before the first call; behind a text it is a part of it
  std::string_view begin;   // of the first call
  std::string_view call, name_end, call_end, between, end;
  bool dsml = false;  // arguments are parameters in markup, not one JSON object
};

std::optional<Form> form_of(Generation generation) {
  switch (generation) {
    case Generation::v25:
    case Generation::v3:
    case Generation::r1:
      return Form{"",
                  "<｜tool▁calls▁begin｜>",
                  "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
                  "\n```json\n",
                  "\n```<｜tool▁call▁end｜>",
                  "\n",
                  "<｜tool▁calls▁end｜>"};
    case Generation::v31:
      return Form{"",
                  "<｜tool▁calls▁begin｜>",
                  "<｜tool▁call▁begin｜>",
                  "<｜tool▁sep｜>",
                  "<｜tool▁call▁end｜>",
                  "",
                  "<｜tool▁calls▁end｜>"};
    case Generation::v32:
      return Form{"\n\n",
                  "<｜DSML｜function_calls>",
                  "\n<｜DSML｜invoke name=\"",
                  "\">\n",
                  "\n</｜DSML｜invoke>",
                  "",
                  "\n</｜DSML｜function_calls>",
                  true};
    case Generation::v4:
      return Form{"\n\n",
                  "<｜DSML｜tool_calls>",
                  "\n<｜DSML｜invoke name=\"",
                  "\">\n",
                  "\n</｜DSML｜invoke>",
                  "",
                  "\n</｜DSML｜tool_calls>",
                  true};
    case Generation::chatml:
    case Generation::qwen3:
      return Form{"",
                  "<tool_call>",
                  "\n{\"name\": \"",
                  "\", \"arguments\": ",
                  "}\n</tool_call>",
                  "\n<tool_call>",
                  ""};
    case Generation::v2:
    case Generation::llama3:
      break;
  }
  return std::nullopt;
}

// What a model writes letter by letter where its vocabulary has no token for it.
bool is_textual(Marker marker) {
  return marker == Marker::dsml || marker == Marker::tool_open || marker == Marker::tool_close;
}

constexpr std::string_view parameter_open = "<｜DSML｜parameter name=\"";
constexpr std::string_view parameter_close = "</｜DSML｜parameter>";

// The schema as that of an object, which arguments always are.
std::string object_schema(const std::string& parameters) {
  Json json = Json::parse(parameters.empty() ? "{}" : parameters, nullptr, false);
  if (json.is_discarded()) throw SchemaError("#", "it is not JSON");
  if (json.is_boolean() && json.get<bool>()) json = Json::object();
  if (!json.is_object()) throw SchemaError("#", "arguments are an object: a schema of one");
  // No parameters at all are none, rather than any.
  if (json.empty()) json["properties"] = Json::object();
  if (!json.contains("type")) json["type"] = "object";
  if (json["type"] != "object") throw SchemaError("#/type", "arguments are an \"object\"");
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// JSON's rules; that character is escaped.
std::string rules_without(std::optional<uint32_t> marker) {
  std::string rules = json_rules;
  if (!marker) return rules;
  constexpr std::string_view control = "\\x1f]";
  for (size_t at = 0; (at = rules.find(control, at)) != std::string::npos; at += control.size())
    rules.insert(at + control.size() - 1, fmt::format("\\u{:04x}", *marker));
  return rules;
}

class ToolCallWriter {
 public:
  ToolCallWriter(const tokenizer::Tokenizer& tokenizer, Generation generation)
      : tokenizer_(tokenizer),
        generation_(generation),
        marker_(find_marker()),
        builder_(schema_grammar_limits),
        json_(add_gbnf(builder_, rules_without(marker_))) {}

  Grammar write(const std::vector<CallableTool>& tools, const ToolCallOptions& options);

 private:
  struct Source {  // of rules: a schema and what writes it
    Source(GrammarBuilder& builder, const RuleNames& json, std::string_view text,
           std::optional<uint32_t> marker)
        : schema(text), writer(builder, json, schema, marker) {}
    Schema schema;
    SchemaWriter writer;
  };

  Source& source(std::string_view text) {
    return sources_.emplace_back(builder_, json_, text, marker_);
  }
  std::optional<uint32_t> find_marker() const;
  StateId put(StateId at, std::string_view markup);
  bool has_token(std::string_view marker) const {
    return tokenizer_.special_id(marker).has_value();
  }
  StateId text(StateId from, const Form& form, StateId end);
  void add_calls(StateId from, const Form& form, bool parallel, StateId to);
  void add_response(StateId from, const std::string& schema, StateId to);
  void add_tools(const std::vector<CallableTool>& tools, const Form& form);
  void add_arguments(StateId from, const std::string& schema, const Form& form, StateId to);
  void add_parameters(Source& own, StateId from, const Demands& demands, StateId to);
  void add_value(Source& own, StateId from, const Conjunction& schemas, StateId to);
  void add_value(Source& own, const Demands& demands, StateId string, StateId string_end,
                 StateId other, StateId other_end);

  const tokenizer::Tokenizer& tokenizer_;
  const Generation generation_;
  const std::optional<uint32_t> marker_;  // what no argument may hold, as it begins markup
  GrammarBuilder builder_;
  const RuleNames json_;
  std::deque<Source> sources_;
  RuleId call_ = 0;  // one call, from its name's beginning on
};

// Special tokens cannot be part of a text; markup that is spelt could be.
std::optional<uint32_t> ToolCallWriter::find_marker() const {
  const std::optional<Form> form = form_of(generation_);
  if (form && form->dsml && !has_token("｜DSML｜")) return 0xFF5C;  // ｜
  if (form && form->begin == "<tool_call>" &&
      !(has_token("<tool_call>") && has_token("</tool_call>")))
    return '<';
  return std::nullopt;
}

// Special tokens as such, the rest as bytes.
StateId ToolCallWriter::put(StateId at, std::string_view markup) {
  while (!markup.empty()) {
    size_t first = markup.size();
    std::string_view marker;
    for (size_t i = 0; i < tokenizer::kMarkerCount; ++i) {
      const std::string_view spelt = tokenizer::marker_text(static_cast<Marker>(i));
      const size_t found = spelt.empty() ? std::string_view::npos : markup.find(spelt);
      if (found >= first) continue;
      if (!has_token(spelt) && is_textual(static_cast<Marker>(i))) continue;
      first = found;
      marker = spelt;
    }
    at = builder_.literal(at, markup.substr(0, first));
    if (marker.empty()) break;
    const auto id = tokenizer_.special_id(marker);
    if (!id)
      fail(ErrorKind::unsupported, "the model has no token {}, so it calls no tools", marker);
    at = builder_.token(at, *id);
    markup.remove_prefix(first + marker.size());
  }
  return at;
}

// Text without calls, which may end anywhere; the state in which its first call has begun.
StateId ToolCallWriter::text(StateId from, const Form& form, StateId end) {
  const StateId begun = builder_.add_state();
  std::vector<StateId> places;
  // Up to what no text can spell, if there is such a token in it.
  const size_t marker = form.dsml ? form.begin.find("｜DSML｜") : 0;
  const std::string_view token =
      form.dsml ? std::string_view("｜DSML｜") : form.begin.substr(0, form.begin.find('>') + 1);
  if (token.empty() || has_token(token)) {
    const StateId any = builder_.add_state();
    builder_.empty(from, any);
    builder_.byte(any, 0, 255, any);
    places = {any};
    if (!token.empty()) builder_.empty(put(any, form.begin), begun);
  } else {
    const std::string_view opening = form.begin.substr(0, marker + token.size());
    const StateId opened = builder_.add_state();
    builder_.until(from, opening, opened, &places);
    builder_.empty(put(opened, form.begin.substr(opening.size())), begun);
  }
  for (const StateId place : places) builder_.empty(place, end);
  return begun;
}

void ToolCallWriter::add_calls(StateId from, const Form& form, bool parallel, StateId to) {
  StateId at = builder_.call(put(from, form.call), call_);
  if (parallel) {
    const RuleId more = builder_.add_rule("more calls");
    const StateId next = put(put(builder_.start(more), form.between), form.call);
    builder_.call(next, call_, builder_.end(more));
    at = builder_.repeat(at, more, 0, -1);
  }
  builder_.empty(put(at, form.end), to);
}

void ToolCallWriter::add_response(StateId from, const std::string& schema, StateId to) {
  if (schema.empty()) return builder_.call(from, json_.find("object")->second, to);
  Source& own = source(schema);
  own.writer.add_value(from, own.schema.root(), to);
  own.writer.finish();
}

void ToolCallWriter::add_tools(const std::vector<CallableTool>& tools, const Form& form) {
  call_ = builder_.add_rule("call");
  const StateId behind = builder_.add_state();
  for (const CallableTool& tool : tools) {
    const StateId named = put(builder_.literal(builder_.start(call_), tool.name), form.name_end);
    try {
      add_arguments(named, object_schema(tool.parameters), form, behind);
    } catch (const SchemaError& error) {
      throw SchemaError(tool.path + error.path(), error.reason());
    }
  }
  builder_.empty(put(behind, form.call_end), builder_.end(call_));
}

void ToolCallWriter::add_arguments(StateId from, const std::string& schema, const Form& form,
                                   StateId to) {
  Source& own = source(schema);
  if (form.dsml) {
    for (const Demands& demands : own.schema.alternatives(own.schema.root()))
      add_parameters(own, from, demands, to);
  } else {
    own.writer.add_value(from, own.schema.root(), to);
  }
  own.writer.finish();
}

void ToolCallWriter::add_parameters(Source& own, StateId from, const Demands& demands, StateId to) {
  MemberForm form;
  form.separator = [this](StateId at) { return builder_.literal(at, "\n"); };
  form.named = [&](StateId at, const std::string& name, const Conjunction& schemas, StateId last) {
    if (name.find_first_of("\"<>\n") != std::string::npos)
      throw SchemaError(demands.path, fmt::format("this model's markup cannot hold the name of the "
                                                  "parameter '{}'",
                                                  name));
    add_value(own, builder_.literal(put(at, parameter_open), name), schemas, last);
  };
  // A name that exists already is passed over by whoever reads it.
  form.other = [&](StateId at, const Conjunction& schemas, StateId last) {
    const RuleId letter = builder_.add_rule("letter");
    for (const auto& [low, high] : {std::pair('A', 'Z'), {'a', 'z'}, {'0', '9'}, {'_', '_'}})
      builder_.byte(builder_.start(letter), static_cast<uint8_t>(low), static_cast<uint8_t>(high),
                    builder_.end(letter));
    add_value(own, builder_.repeat(put(at, parameter_open), letter, 1, 64), schemas, last);
  };
  own.writer.add_members(from, demands, form, to);
}

// Behind the parameter's name. Strings stand as they are, all else as JSON.
void ToolCallWriter::add_value(Source& own, StateId from, const Conjunction& schemas, StateId to) {
  const StateId string = builder_.literal(from, "\" string=\"true\">");
  const StateId other = builder_.literal(from, "\" string=\"false\">");
  const StateId string_end = builder_.add_state(), other_end = builder_.add_state();
  for (const Demands& demands : own.schema.alternatives(schemas))
    add_value(own, demands, string, string_end, other, other_end);
  const StateId close = builder_.add_state();
  builder_.empty(string_end, close);
  builder_.empty(other_end, close);
  builder_.empty(put(close, parameter_close), to);
}

void ToolCallWriter::add_value(Source& own, const Demands& demands, StateId string,
                               StateId string_end, StateId other, StateId other_end) {
  if (demands.values) {
    for (const Json& value : *demands.values) {
      if (!own.schema.admits(demands, value)) continue;
      if (value.is_string())
        builder_.empty(builder_.literal(string, value.get<std::string>()), string_end);
      else
        own.writer.add_literal(other, value, other_end);
    }
    return;
  }
  const unsigned kinds = demands.likely_kinds();
  if ((kinds & kind_string) != 0) own.writer.add_text(string, demands, string_end, Spelling::raw);
  Demands rest = demands;
  rest.kinds = kinds & ~static_cast<unsigned>(kind_string);
  own.writer.add_value(other, rest, other_end);
}

Grammar ToolCallWriter::write(const std::vector<CallableTool>& tools,
                              const ToolCallOptions& options) {
  std::optional<Form> form = form_of(generation_);
  if (!form && tools.empty()) form = Form{};  // nothing to beware of
  if (!form)
    fail(ErrorKind::unsupported, "a model of generation {} calls no tools",
         tokenizer::generation_name(generation_));
  const RuleId root = builder_.add_rule("answer");
  const StateId start = builder_.start(root), end = builder_.end(root);
  if (tools.empty()) {
    if (options.response_schema)
      add_response(start, *options.response_schema, end);
    else
      text(start, *form, end);
    return builder_.compile(root, 2 * json_depth_max);
  }
  add_tools(tools, *form);
  const StateId begun = put(put(start, form->indent), form->begin);
  add_calls(begun, *form, options.parallel, end);
  if (!options.required && options.response_schema) {
    add_response(start, *options.response_schema, end);
  } else if (!options.required) {
    builder_.empty(text(start, *form, end), begun);
  }
  // Calls within calls of rules: the answer's own around those of JSON.
  return builder_.compile(root, 2 * json_depth_max);
}

constexpr const char* any_object = R"({"type":"object"})";

// Whether the model has what calls are written with.
bool can_call(const tokenizer::Tokenizer& tokenizer, Generation generation) {
  const std::optional<Form> form = form_of(generation);
  if (!form) return false;
  for (size_t i = 0; i < tokenizer::kMarkerCount; ++i) {
    const auto marker = static_cast<Marker>(i);
    const std::string_view spelt = tokenizer::marker_text(marker);
    if (spelt.empty() || is_textual(marker) || tokenizer.special_id(spelt)) continue;
    for (const std::string_view part :
         {form->begin, form->call, form->name_end, form->call_end, form->end})
      if (part.find(spelt) != std::string_view::npos) return false;
  }
  return true;
}

// Whether arguments can be held to the schema.
bool is_expressible(const tokenizer::Tokenizer& tokenizer, Generation generation,
                    const CallableTool& tool) {
  try {
    ToolCallWriter(tokenizer, generation).write({tool}, {.required = true});
    return true;
  } catch (const Error&) {
    return false;
  }
}

// Lets the larger half of the schemas go that need not be kept to; false if there is none.
bool loosen(std::vector<CallableTool>& tools) {
  std::vector<CallableTool*> held;
  for (CallableTool& tool : tools)
    if (!tool.strict && tool.parameters != any_object) held.push_back(&tool);
  std::ranges::stable_sort(held, std::greater(),
                           [](const CallableTool* tool) { return tool->parameters.size(); });
  held.resize((held.size() + 1) / 2);
  for (CallableTool* tool : held) tool->parameters = any_object;
  return !held.empty();
}

}  // namespace

Grammar tool_call_grammar(const tokenizer::Tokenizer& tokenizer, Generation generation,
                          const std::vector<CallableTool>& tools, const ToolCallOptions& options) {
  std::vector<CallableTool> held = tools;
  // What is promised of calls holds where there are none.
  if (!options.required && !can_call(tokenizer, generation)) held.clear();
  for (CallableTool& tool : held)
    if (!tool.strict && !is_expressible(tokenizer, generation, tool)) tool.parameters = any_object;
  while (true) {
    try {
      return ToolCallWriter(tokenizer, generation).write(held, options);
    } catch (const Error& error) {  // each schema would do, but all of them are too large
      if (error.kind() != ErrorKind::limit || !loosen(held)) throw;
    }
  }
}

}  // namespace hadal::grammar
