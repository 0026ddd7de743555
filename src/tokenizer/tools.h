// Tools as a dialogue carries them: what the model may call, and the calls it made.
//
// The published encoders print JSON as Python's json.dumps(x, ensure_ascii=False) does: ", " and
// ": " between elements, keys in their given order, text unescaped. A model has seen no other
// spelling, so tool schemas and arguments are re-spelt that way before they enter a prompt.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hadal::tokenizer {

struct Tool {
  std::string name;
  std::string description;
  std::string parameters;  // JSON schema, Python spelling
  std::string function;    // the whole function object, Python spelling
};

struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // a JSON object as text
};

// One argument of a call, as DSML markup wants it.
struct ToolArgument {
  std::string name;
  std::string value;  // raw text if is_string, else JSON in Python spelling
  bool is_string = false;
};

// OpenAI form: [{"type":"function","function":{...}}, ...]; bare function objects are accepted too.
// Throws Error(usage) on anything else, on nesting deeper than 64 and on more than 1,024 tools.
std::vector<Tool> tools_from_json(std::string_view json);

// The same JSON value in Python's spelling; indent > 0 gives its multi-line form. Throws
// Error(usage), naming `what`, if the text is not JSON or is nested deeper than 64.
std::string python_json(std::string_view json, std::string_view what, int indent = 0);

// A string as a JSON literal with its quotes, non-ASCII text left as it is.
std::string json_quoted(std::string_view text);

// The arguments of a call in their given order. Throws Error(usage) unless they are a JSON object;
// empty text counts as one without members.
std::vector<ToolArgument> tool_arguments(const ToolCall& call);

}  // namespace hadal::tokenizer
