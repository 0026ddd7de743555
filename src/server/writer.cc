#include "server/writer.h"

#include <cmath>

#include <fmt/format.h>

#include "server/text.h"

namespace hadal::server {

std::string usage_json(const Account& account) {
  int64_t completion = 0, reasoning = 0;
  for (const infer::RequestStats& stats : account.stats) {
    completion += stats.generated_tokens;
    reasoning += stats.reasoning_tokens;
  }
  const infer::RequestStats& first = account.stats.front();
  return fmt::format(R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},)"
                     R"("prompt_cache_hit_tokens":{},"prompt_cache_miss_tokens":{},)"
                     R"("prompt_tokens_details":{{"cached_tokens":{}}},)"
                     R"("completion_tokens_details":{{"reasoning_tokens":{}}}}})",
                     first.prompt_tokens, completion, first.prompt_tokens + completion,
                     first.cached_tokens, first.prompt_tokens - first.cached_tokens,
                     first.cached_tokens, reasoning);
}

std::string_view finish_name(infer::FinishReason reason, bool has_calls) {
  switch (reason) {
    case infer::FinishReason::stop:
      return has_calls ? "tool_calls" : "stop";
    case infer::FinishReason::length:
      return "length";
    case infer::FinishReason::cancelled:
    case infer::FinishReason::error:
      break;
  }
  return "insufficient_system_resource";
}

std::string number_json(float value) {
  // JSON has no infinity; -9999 is what OpenAI sends for "practically never".
  return std::isfinite(value) ? fmt::format("{}", value) : "-9999.0";
}

namespace {

std::string token_json(const tokenizer::Tokenizer& tokenizer, int32_t id, float logprob) {
  const std::string_view bytes = tokenizer.token_bytes(id);
  std::string list;
  for (const char c : bytes) {
    if (!list.empty()) list += ',';
    list += std::to_string(static_cast<unsigned char>(c));
  }
  return fmt::format(R"("token":{},"logprob":{},"bytes":[{}])", json_text(bytes),
                     number_json(logprob), list);
}

}  // namespace

std::string logprob_json(const tokenizer::Tokenizer& tokenizer, const infer::Event& event) {
  std::string top;
  for (const infer::TokenLogprob& other : event.top) {
    if (!top.empty()) top += ',';
    top += '{' + token_json(tokenizer, other.token, other.logprob) + '}';
  }
  return fmt::format(R"({{{},"top_logprobs":[{}]}})",
                     token_json(tokenizer, event.token, event.logprob), top);
}

}  // namespace hadal::server
