// A function's parameters to a grammar of calls, and a walk through it in the markup of each
// generation: what comes out is read as calls whose arguments are JSON.
#include "fuzz/grammar_walk.h"
#include "grammar/tool_calls.h"
#include "tokenizer/stream_parser.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using hadal::tokenizer::Generation;
  if (size > 4096 || size == 0) return 0;
  constexpr Generation generations[] = {Generation::v3, Generation::v31, Generation::v32,
                                        Generation::v4, Generation::qwen3};
  const Generation generation = generations[data[0] % std::size(generations)];
  const std::string schema(reinterpret_cast<const char*>(data + 1), size - 1);
  const hadal::tokenizer::Tokenizer& tokenizer = hadal::fuzz::walk_tokenizer();
  try {
    const auto written = hadal::fuzz::walk(
        hadal::grammar::tool_call_grammar(
            tokenizer, generation, {{"f", schema, (data[0] & 0x80) != 0, "p"}}, {.required = true}),
        size);
    if (!written) return 0;
    hadal::tokenizer::StreamParser parser(tokenizer, generation, false);
    size_t calls = 0;
    const auto check = [&](const std::vector<hadal::tokenizer::StreamEvent>& events) {
      using Kind = hadal::tokenizer::StreamEvent::Kind;
      for (const auto& event : events) {
        HADAL_CHECK(event.kind != Kind::content && event.kind != Kind::reasoning,
                    "text beside a call: {}", event.text);
        if (event.kind == Kind::call_end) ++calls;
        HADAL_CHECK(event.valid, "arguments that are no JSON: {}", tokenizer.decode(*written));
      }
    };
    for (const int32_t id : *written) check(parser.push(id));
    check(parser.finish());
    HADAL_CHECK(calls > 0, "no call was read: {}", tokenizer.decode(*written));
  } catch (const hadal::Error&) {
  }
  return 0;
}
