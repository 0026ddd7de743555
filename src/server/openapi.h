// The OpenAPI document of the server, made from the table of routes.
#pragma once

#include <string>

namespace hadal::server {

// JSON; made once.
const std::string& openapi_document();

}  // namespace hadal::server
