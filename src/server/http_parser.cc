#include "server/http_parser.h"

#include <algorithm>
#include <cctype>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

namespace hadal::server {
namespace {

namespace http = boost::beast::http;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string_view view(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

size_t count_header(const Headers& headers, std::string_view name) {
  return static_cast<size_t>(std::count_if(headers.begin(), headers.end(),
                                           [&](const auto& item) { return item.first == name; }));
}

// Printable ASCII without blanks, as an origin-form target has to be.
bool is_plain_target(std::string_view target) {
  return target.starts_with('/') &&
         std::all_of(target.begin(), target.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

}  // namespace

struct HttpParser::Impl {
  http::request_parser<http::string_body> parser;
  bool head_read = false;
};

HttpParser::HttpParser(const ParserLimits& limits) : impl_(std::make_unique<Impl>()) {
  impl_->parser.header_limit(limits.header_bytes);
  impl_->parser.body_limit(limits.body_bytes);
  impl_->parser.eager(false);
}

HttpParser::~HttpParser() = default;

void HttpParser::fail(int status, std::string message) {
  status_ = status;
  message_ = std::move(message);
}

size_t HttpParser::feed(std::string_view bytes) {
  if (failed() || done()) return 0;
  boost::beast::error_code error;
  const size_t taken =
      impl_->parser.put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  if (error == http::error::need_more) error = {};
  if (error == http::error::header_limit) {
    fail(431, "the header is too large");
  } else if (error == http::error::body_limit) {
    fail(413, "the body is too large");
  } else if (error) {
    fail(400, "this is no valid HTTP request: " + error.message());
  } else if (!impl_->head_read && impl_->parser.is_header_done()) {
    impl_->head_read = true;
    read_head();
  }
  return taken;
}

bool HttpParser::header_done() const {
  return !failed() && impl_->head_read;
}

bool HttpParser::done() const {
  return !failed() && impl_->head_read && impl_->parser.is_done();
}

uint64_t HttpParser::content_length() const {
  const auto length = impl_->parser.content_length();
  return length ? *length : 0;
}

bool HttpParser::wants_continue() const {
  const std::string* expect = head_.header("expect");
  return expect != nullptr && lower(*expect) == "100-continue";
}

bool HttpParser::keep_alive() const {
  return impl_->parser.keep_alive();
}

bool HttpParser::is_http_10() const {
  return impl_->parser.get().version() == 10;
}

void HttpParser::read_head() {
  const auto& message = impl_->parser.get();
  head_.method = view(message.method_string());
  for (const auto& field : message)
    head_.headers.emplace_back(lower(view(field.name_string())), view(field.value()));
  if (message.version() != 11 && message.version() != 10) {
    return fail(400, "only HTTP/1.1 and HTTP/1.0 are spoken here");
  }
  const std::string_view target = view(message.target());
  if (!is_plain_target(target)) return fail(400, "the target is no path");
  const size_t question = target.find('?');
  head_.path = target.substr(0, question);
  if (question != std::string_view::npos) head_.query = target.substr(question + 1);
  const size_t hosts = count_header(head_.headers, "host");
  if (hosts > 1 || (hosts == 0 && message.version() == 11)) {
    return fail(400, "exactly one Host header is needed");
  }
  // "2, 2" would do by the letter of the standard; nobody sends that for a good reason.
  const std::string* length = head_.header("content-length");
  if (length != nullptr && length->find_first_not_of("0123456789") != std::string::npos) {
    return fail(400, "the content length is no number");
  }
  const size_t encodings = count_header(head_.headers, "transfer-encoding");
  const size_t lengths = count_header(head_.headers, "content-length");
  if (lengths > 1 || (encodings > 0 && lengths > 0)) {
    return fail(400, "the body's length is said twice");
  }
  if (encodings > 1 || (encodings == 1 && lower(*head_.header("transfer-encoding")) != "chunked")) {
    return fail(501, "of transfer encodings only chunked is known");
  }
  if (encodings == 1 && message.version() == 10) {
    return fail(400, "HTTP/1.0 has no transfer encodings");
  }
}

HttpRequest HttpParser::take() {
  head_.body = std::move(impl_->parser.get().body());
  return std::move(head_);
}

}  // namespace hadal::server
