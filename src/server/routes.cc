#include "server/routes.h"

namespace hadal::server {
namespace {

constexpr Route table[] = {
    {"GET", "/livez", Endpoint::livez, ApiShape::openai, true},
    {"GET", "/readyz", Endpoint::readyz, ApiShape::openai, true},
    {"GET", "/health", Endpoint::readyz, ApiShape::openai, true},
    {"GET", "/metrics", Endpoint::metrics},
    {"GET", "/openapi.json", Endpoint::openapi, ApiShape::openai, true},
    {"GET", "/models", Endpoint::models},
    {"GET", "/v1/models", Endpoint::models},
    {"GET", "/beta/models", Endpoint::models},
    {"GET", "/models/", Endpoint::model},
    {"GET", "/v1/models/", Endpoint::model},
    {"GET", "/user/balance", Endpoint::balance},
    {"POST", "/chat/completions", Endpoint::chat},
    {"POST", "/v1/chat/completions", Endpoint::chat},
    {"POST", "/beta/chat/completions", Endpoint::chat},
    {"POST", "/completions", Endpoint::completions},
    {"POST", "/v1/completions", Endpoint::completions},
    {"POST", "/beta/completions", Endpoint::completions},
    {"POST", "/anthropic/v1/messages", Endpoint::messages, ApiShape::anthropic},
    {"POST", "/v1/messages", Endpoint::messages, ApiShape::anthropic},
    {"POST", "/anthropic/v1/messages/count_tokens", Endpoint::count_tokens, ApiShape::anthropic},
    {"POST", "/v1/messages/count_tokens", Endpoint::count_tokens, ApiShape::anthropic},
    {"POST", "/embeddings", Endpoint::embeddings},
    {"POST", "/v1/embeddings", Endpoint::embeddings},
    {"POST", "/tokenize", Endpoint::tokenize},
    {"POST", "/detokenize", Endpoint::detokenize},
    {"POST", "/apply-template", Endpoint::apply_template},
};

bool matches(const Route& route, std::string_view path) {
  if (route.path.ends_with('/'))
    return path.starts_with(route.path) && path.size() > route.path.size();
  return path == route.path;
}

}  // namespace

std::span<const Route> routes() {
  return table;
}

Found find_route(std::string_view method, std::string_view path) {
  Found found;
  for (const Route& route : table) {
    if (!matches(route, path)) continue;
    found.allowed = route.method;
    if (route.method == method) found.route = &route;
  }
  return found;
}

}  // namespace hadal::server
