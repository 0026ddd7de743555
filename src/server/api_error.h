// A request that cannot be answered as it stands, and how the client is told.
#pragma once

#include <stdexcept>
#include <string>

#include "server/http.h"

namespace hadal::server {

enum class ApiShape { openai, anthropic };

struct ApiError : std::runtime_error {
  ApiError(int http_status, const std::string& message, std::string json_path = "",
           std::string error_code = "")
      : std::runtime_error(message),
        status(http_status),
        param(std::move(json_path)),
        code(std::move(error_code)) {}
  int status;
  std::string param;      // where in the request, as "messages[2].content"
  std::string code;       // for programs; "" takes the status' usual one
  int retry_after_s = 0;  // > 0: when to try again
};

// {"error":{"message","type","param","code"}}, or Anthropic's {"type":"error","error":{...}}.
std::string error_body(const ApiError& error, ApiShape shape);
HttpResponse error_response(const ApiError& error, ApiShape shape);

}  // namespace hadal::server
