// The server as a whole: what `hadal serve` runs.
#pragma once

#include <functional>
#include <string>

#include "server/http_server.h"
#include "server/service.h"

namespace hadal::server {

struct ServeOptions {
  HttpOptions http;
  ServiceOptions service;
};

// Opens the port, calls listening with the URL, loads the model, and serves until it is told to
// stop. Throws Error(usage) for a public address without keys, what HttpServer throws, and
// Error(file | format | limit) if the model cannot be opened.
void serve(const ServeOptions& options, const std::function<void(const std::string&)>& listening);

}  // namespace hadal::server
