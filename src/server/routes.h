// All endpoints, in one table: the router, the OpenAPI document and the tests read it.
#pragma once

#include <span>
#include <string_view>

#include "server/api_error.h"

namespace hadal::server {

enum class Endpoint {
  livez,
  readyz,
  metrics,
  openapi,
  models,
  model,
  balance,
  chat,
  completions,
  messages,
  count_tokens,
  embeddings,
  tokenize,
  detokenize,
  apply_template,
};

struct Route {
  std::string_view method;
  std::string_view path;  // one that ends in '/' takes what follows
  Endpoint endpoint;
  ApiShape shape = ApiShape::openai;
  bool open = false;  // to everybody, without a key
};

std::span<const Route> routes();

struct Found {
  const Route* route = nullptr;  // null: none has the path, or none with the method
  std::string_view allowed;      // a method that the path has, "" for an unknown path
};
Found find_route(std::string_view method, std::string_view path);

}  // namespace hadal::server
