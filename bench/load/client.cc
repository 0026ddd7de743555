#include "client.h"

#include <cstdlib>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace hadal::bench {

namespace asio = boost::asio;
using asio::awaitable;
using Tcp = asio::ip::tcp;

namespace {

constexpr auto no_throw = asio::as_tuple(asio::use_awaitable);
constexpr auto slice = std::chrono::milliseconds(2);  // between two looks at a condition
constexpr size_t read_bytes = 16 << 10;

// Holds the call while it is under way.
awaitable<void> run_call(std::shared_ptr<Call> call) {
  co_await call->run();
}

}  // namespace

Call::Call(LoadClient& client, CallOptions options)
    : client_(client), options_(std::move(options)), socket_(client.io_) {
  reader_.on_event = [this](std::string_view data) {
    event_s_.push_back(client_.now());
    before_last_ = std::exchange(last_, std::string(data));
  };
}

void Call::start() {
  asio::co_spawn(client_.io_, run_call(shared_from_this()), asio::detached);
}

void Call::leave() {
  boost::system::error_code ignored;
  socket_.close(ignored);
}

awaitable<void> Call::run() {
  begin_s_ = client_.now();
  co_await exchange();
  if (!options_.reads && sent() && socket_.is_open()) co_return;
  end_s_ = client_.now();
  leave();
  ended_ = true;
}

awaitable<bool> Call::open() {
  boost::system::error_code failed;
  socket_.open(Tcp::v4(), failed);
  if (failed) co_return false;
  if (options_.receive_buffer > 0)
    socket_.set_option(asio::socket_base::receive_buffer_size(options_.receive_buffer), failed);
  const Tcp::endpoint server(asio::ip::address_v4::loopback(), client_.port_);
  const auto [error] = co_await socket_.async_connect(server, no_throw);
  if (error) co_return false;
  socket_.set_option(Tcp::no_delay(true), failed);
  if (!client_.tls_) co_return true;
  tls_ = std::make_unique<asio::ssl::stream<Tcp::socket&>>(socket_, *client_.tls_);
  const auto [refused] = co_await tls_->async_handshake(asio::ssl::stream_base::client, no_throw);
  co_return !refused;
}

awaitable<bool> Call::send(std::string text) {
  if (tls_) {
    const auto [error, count] = co_await asio::async_write(*tls_, asio::buffer(text), no_throw);
    co_return !error;
  }
  const auto [error, count] = co_await asio::async_write(socket_, asio::buffer(text), no_throw);
  co_return !error;
}

awaitable<size_t> Call::read(char* data, size_t size) {
  if (tls_) {
    const auto [error, count] = co_await tls_->async_read_some(asio::buffer(data, size), no_throw);
    co_return error ? 0 : count;
  }
  const auto [error, count] = co_await socket_.async_read_some(asio::buffer(data, size), no_throw);
  co_return error ? 0 : count;
}

awaitable<void> Call::exchange() {
  const bool connected = co_await open();
  if (!connected) co_return;
  std::string text = options_.method + " " + options_.path +
                     " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + options_.headers;
  if (options_.method == "POST")
    text += "Content-Type: application/json\r\nContent-Length: " +
            std::to_string(options_.body.size()) + "\r\n";
  text += "\r\n" + options_.body;
  const bool written = co_await send(std::move(text));
  if (!written) co_return;
  sent_s_ = client_.now();
  if (!options_.reads) co_return;
  std::vector<char> buffer(read_bytes);
  while (!reader_.whole() && !reader_.broken()) {
    const size_t count = co_await read(buffer.data(), buffer.size());
    if (count == 0) {
      reader_.end();
      break;
    }
    reader_.feed({buffer.data(), count});
    if (options_.leaves_after >= 0 && events() >= options_.leaves_after) break;
  }
}

LoadClient::LoadClient(uint16_t port, bool secure) : port_(port) {
  // The server's certificate is of its own making: nothing would vouch for it.
  if (secure) tls_ = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_client);
  if (secure) SSL_CTX_set_mode(tls_->native_handle(), SSL_MODE_RELEASE_BUFFERS);
}

std::shared_ptr<Call> LoadClient::start(CallOptions options) {
  auto call = std::make_shared<Call>(*this, std::move(options));
  call->start();
  return call;
}

void LoadClient::run_for(double seconds) {
  run_until([] { return false; }, seconds);
}

bool LoadClient::run_until(const Condition& condition, double seconds) {
  const double end = now() + seconds;
  while (!condition()) {
    if (now() >= end) return false;
    // It would not wait at all if no connection had anything to do.
    const auto idle = asio::make_work_guard(io_);
    io_.restart();
    io_.run_for(slice);
  }
  return true;
}

std::shared_ptr<Call> LoadClient::ask(CallOptions options, double seconds) {
  auto call = start(std::move(options));
  if (!run_until([&] { return call->ended(); }, seconds)) call->leave();
  return call;
}

double LoadClient::metric(const std::string& name) {
  CallOptions options;
  options.method = "GET";
  options.path = "/metrics";
  const std::string text = "\n" + ask(options)->response().body();
  const size_t at = text.find("\n" + name + " ");
  return at == std::string::npos ? -1 : std::atof(text.c_str() + at + name.size() + 2);
}

bool LoadClient::metric_becomes(const std::string& name, double value, double seconds) {
  for (const double end = now() + seconds; now() < end; run_for(0.02))
    if (metric(name) == value) return true;
  return false;
}

double LoadClient::now() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - origin_).count();
}

}  // namespace hadal::bench
