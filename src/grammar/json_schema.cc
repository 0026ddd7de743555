#include "grammar/json_schema.h"

#include "grammar/gbnf.h"
#include "grammar/json_mode.h"
#include "grammar/schema_writer.h"

namespace hadal::grammar {

Grammar json_schema_grammar(std::string_view text) {
  Schema schema(text);
  GrammarBuilder builder(schema_grammar_limits);
  const RuleNames json = add_gbnf(builder, json_rules);
  SchemaWriter writer(builder, json, schema);
  const RuleId root = builder.add_rule("#");
  writer.add_value(builder.start(root), schema.root(), builder.end(root));
  writer.finish();
  return builder.compile(root, schema_depth_max);
}

}  // namespace hadal::grammar
