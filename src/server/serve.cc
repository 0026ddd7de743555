#include "server/serve.h"

#include <utility>

#include "base/error.h"

namespace hadal::server {

void serve(const ServeOptions& wanted, const std::function<void(const std::string&)>& listening) {
  ServeOptions options = wanted;
  const bool is_public = !is_loopback(options.http.host);
  options.service.access.needs_key |= is_public;
  HttpServer* http = nullptr;
  Service service(options.service, [&http] { http->stop(); });
  if (is_public && !service.has_keys())
    fail(ErrorKind::usage,
         "{} can be reached from other machines, so a key is needed: make one with 'hadal key "
         "create NAME'",
         options.http.host);
  HttpServer server(options.http, service);
  http = &server;
  listening(server.url());
  service.start([&server] { return server.load(); });
  server.run();
  service.stop();  // before the server goes, which it might want to stop
  const EngineHost::Status status = service.status();
  if (status.state == EngineHost::State::failed) fail(ErrorKind::file, "{}", status.error);
}

}  // namespace hadal::server
