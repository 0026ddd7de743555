// A request bound to the model: prompt and parameters as the engine takes them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "infer/request.h"
#include "server/chat_request.h"
#include "server/served_model.h"
#include "server/spellings.h"

namespace hadal::server {

struct Bound {
  std::vector<infer::Request> choices;  // n of them, alike but for Request::stream
  bool starts_thinking = false;         // the answer begins inside a thought
  bool thinking = false;                // thoughts are to be expected
  std::string warning;                  // for the client: what could not be done as asked
};

// For whom.
struct Binding {
  uint64_t owner = 0;              // whose prefixes may be shared
  int64_t context_max = 0;         // of the caller's key; 0: none of its own
  Spellings* spellings = nullptr;  // of earlier answers; null: all text is spelt by encode()
};

// All throw ApiError: 400 for an unknown model, a prompt over the context (with both numbers), and
// what this model cannot do.
Bound bind_chat(const ServedModel& model, const ChatRequest& request, const Binding& binding);
Bound bind_completion(const ServedModel& model, const CompletionRequest& request,
                      const Binding& binding);

// The prompt of a dialogue; what the model makes of `thinking` is told by Bound.
std::vector<int32_t> chat_prompt(const ServedModel& model, const ChatRequest& request, Bound& bound,
                                 const Binding& binding = {});
std::string chat_prompt_text(const ServedModel& model, const ChatRequest& request);

}  // namespace hadal::server
