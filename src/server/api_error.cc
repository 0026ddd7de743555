#include "server/api_error.h"

#include <fmt/format.h>

#include "server/text.h"

namespace hadal::server {
namespace {

std::string_view openai_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 402:
      return "insufficient_quota";
    case 403:
      return "permission_error";
    case 429:
      return "rate_limit_error";
    default:
      return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

std::string_view openai_code(int status) {
  switch (status) {
    case 404:
      return "not_found";
    case 422:
      return "invalid_parameter";
    case 429:
      return "rate_limit_exceeded";
    case 503:
      return "overloaded";
    default:
      return status >= 500 ? "internal_error" : "invalid_request_error";
  }
}

std::string_view anthropic_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 402:
      return "billing_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    default:
      return status >= 500 ? "api_error" : "invalid_request_error";
  }
}

}  // namespace

std::string error_body(const ApiError& error, ApiShape shape) {
  const std::string message = json_text(error.what());
  if (shape == ApiShape::anthropic) {
    return fmt::format(R"({{"type":"error","error":{{"type":"{}","message":{}}}}})",
                       anthropic_type(error.status), message);
  }
  return fmt::format(R"({{"error":{{"message":{},"type":"{}","param":{},"code":{}}}}})", message,
                     openai_type(error.status),
                     error.param.empty() ? "null" : json_text(error.param),
                     json_text(error.code.empty() ? openai_code(error.status) : error.code));
}

HttpResponse error_response(const ApiError& error, ApiShape shape) {
  HttpResponse response;
  response.status = error.status;
  response.body = error_body(error, shape);
  if (error.status == 401) response.headers.emplace_back("www-authenticate", "Bearer");
  if (error.retry_after_s > 0)
    response.headers.emplace_back("retry-after", std::to_string(error.retry_after_s));
  return response;
}

}  // namespace hadal::server
