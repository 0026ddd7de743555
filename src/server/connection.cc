#include "server/connection.h"

#include <algorithm>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "server/access.h"

namespace hadal::server {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

constexpr size_t read_bytes = 16 << 10;
constexpr size_t write_slice_bytes = 64 << 10;
constexpr size_t linger_bytes_max = 4 << 20;
constexpr double linger_s = 2;
constexpr double bytes_per_second_min = 64 << 10;

// Named functions with parameters by value: GCC 12 miscompiles capturing lambdas as coroutines.
awaitable<void> watch_connection(std::shared_ptr<Connection> connection) {
  co_await connection->watch();
}

std::string chunk(const std::string& bytes) {
  return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}

}  // namespace

Connection::Connection(Loop& loop, std::unique_ptr<Transport> transport, std::string peer,
                       std::shared_ptr<void> ticket)
    : loop_(loop),
      transport_(std::move(transport)),
      peer_(std::move(peer)),
      ticket_(std::move(ticket)),
      signal_(loop.io) {
  loop_.connections.insert(this);
}

Connection::~Connection() {
  loop_.connections.erase(this);
}

void Bell::wake() {
  if (posted_.exchange(true)) return;
  asio::post(loop_.io, [self = shared_from_this()] {
    self->posted_ = false;
    if (const auto connection = self->connection_.lock()) connection->answer_moved();
  });
}

void Connection::answer_moved() {
  woken_ = true;
  signal_.cancel();
}

void Connection::deadline_in(double seconds) {
  deadline_ = Clock::now() + std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

void Connection::check_deadline(Clock::time_point now) {
  if (now < deadline_) return;
  ++loop_.timed_out;
  // What a client does not read would stay with the kernel for long after the close.
  boost::system::error_code ignored;
  if (writing_) transport_->socket().set_option(asio::socket_base::linger(true, 0), ignored);
  close();
}

void Connection::close() {
  gone_ = true;
  deadline_ = Clock::time_point::max();
  boost::system::error_code ignored;
  transport_->socket().close(ignored);
  woken_ = true;
  signal_.cancel();
}

awaitable<void> Connection::run() {
  try {
    bell_ = std::make_shared<Bell>(loop_, weak_from_this());
    deadline_in(loop_.options.handshake_s);
    const bool open = co_await transport_->handshake();
    if (open) {
      while (co_await serve_one()) {
      }
      if (!gone_ && !watching_) co_await linger();
    }
  } catch (const std::exception&) {  // out of memory, say: this connection ends, the others go on
    if (answer_) answer_->abandon();
    answer_ = nullptr;
  }
  close();
}

awaitable<bool> Connection::read_more() {
  const size_t before = in_.size();
  in_.resize(before + read_bytes);
  const size_t count = co_await transport_->read(in_.data() + before, read_bytes);
  in_.resize(before + count);
  if (count == 0) gone_ = true;
  co_return count > 0;
}

awaitable<void> Connection::wait(Clock::time_point until) {
  if (!woken_) {
    signal_.expires_at(std::min(until, Clock::now() + std::chrono::hours(1)));
    boost::system::error_code ignored;
    co_await signal_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  woken_ = false;
}

// False: the connection is over, or what came was answered with a refusal.
awaitable<bool> Connection::read_header(HttpParser& parser) {
  deadline_in(loop_.options.idle_s);
  while (in_.empty()) {
    if (gone_) co_return false;
    // Idle connections make do with the small buffer.
    if (!watching_) start_watch();
    co_await wait(deadline_);
  }
  reading_ = true;
  deadline_in(loop_.options.header_s);
  started_ = Clock::now();
  for (;;) {
    in_.erase(0, parser.feed(in_));
    if (parser.failed()) {
      const HttpRequest unknown;
      const HttpResponse refusal = loop_.handler.refuse(parser.status(), parser.message());
      co_await reply(unknown, refusal, true);
      co_return false;
    }
    if (parser.header_done()) co_return true;
    const bool more = co_await read_more();
    if (!more) co_return false;
  }
}

awaitable<bool> Connection::read_body(HttpParser& parser) {
  const Clock::time_point begin = Clock::now();
  if (parser.wants_continue() && in_.empty() && !parser.done()) {
    const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    const bool written = co_await write(go_on);
    if (!written) co_return false;
  }
  while (!parser.done()) {
    const size_t taken = parser.feed(in_);
    bytes_in_ += static_cast<int64_t>(taken);
    in_.erase(0, taken);
    if (parser.failed()) {
      const HttpResponse refusal = loop_.handler.refuse(parser.status(), parser.message());
      co_await reply(parser.head(), refusal, true);
      co_return false;
    }
    if (parser.done()) break;
    if (taken > 0 && !in_.empty()) continue;
    const double seconds =
        loop_.options.body_s + static_cast<double>(bytes_in_) / bytes_per_second_min;
    deadline_ = begin + std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
    const bool more = co_await read_more();
    if (!more) co_return false;
  }
  co_return true;
}

// One request and its answer. False: the connection ends.
awaitable<bool> Connection::serve_one() {
  bytes_in_ = bytes_out_ = 0;
  reading_ = false;
  HttpRequest request;
  {
    // Freed before the answer: it may take hours.
    const auto parser = std::make_unique<HttpParser>(loop_.options.limits);
    const bool has_header = co_await read_header(*parser);
    if (!has_header) co_return false;
    request = parser->head();
    request.peer = peer_;
    request.secure = transport_->secure();
    http_10_ = parser->is_http_10();
    close_after_ = !parser->keep_alive() || loop_.draining;
    head_only_ = request.method == "HEAD";
    if (head_only_) request.method = "GET";
    std::optional<HttpResponse> refusal = loop_.handler.open(request);
    if (!refusal && parser->content_length() > loop_.options.limits.body_bytes)
      refusal = loop_.handler.refuse(413, "the body is too large");
    if (refusal) {
      // A body that was not read would be taken for the next request.
      const bool has_body = request.header("content-length") != nullptr ||
                            request.header("transfer-encoding") != nullptr;
      const bool written = co_await reply(request, *refusal, close_after_ || has_body);
      co_return written;
    }
    const bool has_body = co_await read_body(*parser);
    if (!has_body) co_return false;
    request.body = parser->take().body;
  }
  if (in_.empty()) in_ = {};
  deadline_ = Clock::time_point::max();
  std::string body = std::move(request.body);
  HttpRequest mark = request;  // for log and headers; it may be kept for hours
  std::erase_if(mark.headers, [](const auto& item) { return item.first != "origin"; });
  mark.headers.shrink_to_fit();
  request.body = std::move(body);
  answer_ = loop_.handler.handle(std::move(request));
  const bool whole = co_await give_answer(mark);
  if (!whole) answer_->abandon();
  report(mark, !whole);
  answer_ = nullptr;
  co_return whole && !close_after_ && !loop_.draining;
}

void Connection::report(const HttpRequest& request, bool cut) {
  Exchange exchange;
  exchange.id = request.id;
  exchange.method = request.method;
  exchange.path = request.path;
  exchange.peer = peer_;
  if (request.caller) exchange.key = request.caller->id;
  exchange.status = status_;
  exchange.bytes_in = bytes_in_;
  exchange.bytes_out = bytes_out_;
  exchange.ms = std::chrono::duration<double, std::milli>(Clock::now() - started_).count();
  exchange.cut = cut;
  if (answer_) exchange.answer = answer_->log();
  loop_.handler.finished(exchange);
}

// length < 0: chunked, or until the connection closes.
std::string Connection::head_text(const HttpRequest* request, const HttpResponse& response,
                                  int64_t length) const {
  std::string head =
      fmt::format("HTTP/1.1 {} {}\r\n", response.status, reason_phrase(response.status));
  const auto put = [&](std::string_view name, std::string_view value) {
    head.append(name).append(": ").append(value).append("\r\n");
  };
  if (!response.content_type.empty()) put("content-type", response.content_type);
  if (length >= 0) {
    if (response.status != 204) put("content-length", std::to_string(length));
  } else if (!http_10_) {
    put("transfer-encoding", "chunked");
  }
  if (close_after_) put("connection", "close");
  for (const auto& [name, value] : loop_.handler.common_headers(request)) put(name, value);
  for (const auto& [name, value] : response.headers) put(name, value);
  return head + "\r\n";
}

// A response without an answer behind it. False: the connection ends.
awaitable<bool> Connection::reply(const HttpRequest& request, const HttpResponse& response,
                                  bool close) {
  close_after_ |= close;
  status_ = response.status;
  bytes_out_ = static_cast<int64_t>(response.body.size());
  const HttpRequest* known = request.method.empty() ? nullptr : &request;
  std::string text = head_text(known, response, bytes_out_);
  if (!head_only_) text += response.body;
  const bool written = co_await write(text);
  report(request, !written);
  co_return written && !close_after_;
}

awaitable<bool> Connection::give_answer(const HttpRequest& request) {
  answer_->start(bell_);
  for (;;) {
    Answer::Part part = answer_->take(Clock::now());
    bytes_out_ += static_cast<int64_t>(part.bytes.size());
    std::string out;
    if (part.begins) {
      status_ = part.response.status;
      const bool whole = part.ends;
      if (!whole && http_10_) close_after_ = true;
      if (loop_.draining) close_after_ = true;
      out = head_text(&request, part.response, whole ? bytes_out_ : -1);
      if (head_only_) part.bytes.clear();
      out += whole || http_10_ || part.bytes.empty() ? part.bytes : chunk(part.bytes);
    } else if (!part.bytes.empty()) {
      out = http_10_ ? std::move(part.bytes) : chunk(part.bytes);
    }
    if (part.ends && !part.begins && !http_10_) out += "0\r\n\r\n";
    if (!out.empty()) {
      const bool written = co_await write(out);
      if (!written) co_return false;
    }
    if (part.ends) co_return true;
    if (!watching_ && !gone_ && in_.empty()) start_watch();
    if (gone_) co_return false;
    co_await wait(part.again);
    if (gone_) co_return false;
  }
}

awaitable<bool> Connection::write(const std::string& bytes) {
  const Clock::time_point before = deadline_;
  for (size_t at = 0; at < bytes.size(); at += write_slice_bytes) {
    const size_t size = std::min(write_slice_bytes, bytes.size() - at);
    deadline_in(loop_.options.write_s);
    writing_ = true;
    const bool written = co_await transport_->write(bytes.data() + at, size);
    writing_ = false;
    if (!written) {
      gone_ = true;
      co_return false;
    }
  }
  deadline_ = before;
  co_return !gone_;
}

void Connection::start_watch() {
  watching_ = true;
  asio::co_spawn(loop_.io, watch_connection(shared_from_this()), asio::detached);
}

awaitable<void> Connection::watch() {
  const size_t count = co_await transport_->read(watched_.data(), watched_.size());
  watching_ = false;
  if (count == 0) gone_ = true;
  in_.append(watched_.data(), count);
  woken_ = true;
  signal_.cancel();
}

// Closing a socket with unread bytes resets the connection, and the client may never see the
// refusal that it was sent: read on for a moment.
awaitable<void> Connection::linger() {
  deadline_in(linger_s);
  co_await transport_->shutdown();
  for (size_t total = 0; total < linger_bytes_max && !gone_;) {
    in_.clear();
    const bool more = co_await read_more();
    if (!more) break;
    total += in_.size();
  }
}

}  // namespace hadal::server
