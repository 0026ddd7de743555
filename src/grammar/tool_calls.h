// Answers that may call tools, in the markup of each generation (tokenizer/dialogue.h), as
// grammars: names that exist, arguments that satisfy their schemas, and markup that
// tokenizer::StreamParser reads.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "grammar/grammar.h"
#include "tokenizer/generation.h"
#include "tokenizer/tokenizer.h"

namespace hadal::grammar {

struct CallableTool {
  std::string name;
  std::string parameters;  // JSON schema of an object
  // false: where the schema asks for what no grammar can promise, or all schemas together become
  // too large, any object will do.
  bool strict = false;
  std::string path;  // where the request has the schema, for messages
};

struct ToolCallOptions {
  bool required = false;  // the answer is calls and nothing else
  bool parallel = true;   // several calls may follow each other
  // What is answered instead of calls: JSON by this schema; "" for any JSON object. Unset: text.
  std::optional<std::string> response_schema{};
};

// Of a whole answer behind its thought. Without tools, or where the model has no form for calls and
// none is required, it calls nothing. Throws SchemaError, whose path begins with the tool's (with
// "#": of the response's schema); Error(unsupported) if a call is required of a model that has no
// form for it; Error(limit) for what is too large.
Grammar tool_call_grammar(const tokenizer::Tokenizer& tokenizer, tokenizer::Generation generation,
                          const std::vector<CallableTool>& tools, const ToolCallOptions& options);

}  // namespace hadal::grammar
