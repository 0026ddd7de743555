// What comes from the network: bytes to an HTTP request, its body to a request of each API. The
// first byte says in which pieces the bytes come.
#include <string>
#include <string_view>

#include "base/error.h"
#include "server/api_error.h"
#include "server/chat_request.h"
#include "server/http_parser.h"
#include "server/json_fields.h"
#include "server/receipt.h"
#include "server/routes.h"

namespace {

using namespace hadal::server;

void read_bodies(const std::string& body) {
  try {
    const Json json = parse_body(body);
    for (auto* read : {read_chat_request, read_anthropic_request}) {
      try {
        read(json);
      } catch (const ApiError&) {
      } catch (const hadal::Error&) {
      }
    }
    try {
      read_completion_request(json);
    } catch (const ApiError&) {
    }
  } catch (const ApiError&) {
  }
  try {
    read_receipt(body);
  } catch (const hadal::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t piece = data[0] == 0 ? size : data[0];
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  ParserLimits limits;
  limits.header_bytes = 4096;
  limits.body_bytes = 1 << 20;
  HttpParser parser(limits);
  std::string buffer;
  while (!parser.done() && !parser.failed()) {
    const size_t before = buffer.size();
    buffer += rest.substr(0, piece);
    rest.remove_prefix(std::min(piece, rest.size()));
    const size_t taken = parser.feed(buffer);
    buffer.erase(0, taken);
    if (taken == 0 && buffer.size() == before && rest.empty()) break;
  }
  if (parser.done()) {
    const HttpRequest request = parser.take();
    find_route(request.method, request.path);
    read_bodies(request.body);
  } else {
    // Most inputs are no HTTP: their bytes are a body all the same.
    read_bodies(std::string(reinterpret_cast<const char*>(data) + 1, size - 1));
  }
  return 0;
}
