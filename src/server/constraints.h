// What an answer must look like: response_format, tools and grammar of a request become a
// constraint on sampling. In between stands its description as text, which says all of it: equal
// descriptions share one constraint, and a receipt carries it.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "grammar/constraint.h"
#include "server/chat_request.h"
#include "server/served_model.h"

namespace hadal::server {

// "" if anything may be answered. Throws ApiError(400) for wishes that exclude each other.
std::string describe_constraint(const ChatRequest& request);
std::string describe_grammar(const std::string& gbnf);  // of completions; "" for ""

// Makes constraints and keeps the last ones. Any thread.
class Constraints {
 public:
  // Null for "". Throws ApiError: 400 with what is wrong in the grammar, 429 if those that are in
  // use take too much memory.
  std::shared_ptr<const grammar::Constraint> get(const ServedModel& model,
                                                 const std::string& description);

 private:
  using Kept = std::shared_ptr<const grammar::Constraint>;
  Kept find(const std::string& description);
  Kept keep(Kept made);

  std::mutex mutex_;
  std::list<Kept> kept_;                                     // the one used last in front
  std::list<std::weak_ptr<const grammar::Constraint>> all_;  // that may be in use
};

}  // namespace hadal::server
