#include "server/http_server.h"

#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/error.h"
#include "server/connection.h"

namespace hadal::server {

namespace asio = boost::asio;
using asio::awaitable;
using Tcp = asio::ip::tcp;

namespace {

constexpr auto no_throw = asio::as_tuple(asio::use_awaitable);
constexpr int backlog = 4096;
// Bounds what the kernel keeps for a client that does not read.
constexpr int send_buffer_bytes = 128 << 10;
constexpr auto sweep_interval = std::chrono::milliseconds(250);
constexpr auto drain_interval = std::chrono::milliseconds(20);
constexpr auto end_grace = std::chrono::seconds(2);

class PlainTransport : public Transport {
 public:
  explicit PlainTransport(Tcp::socket socket) : socket_(std::move(socket)) {}
  awaitable<bool> handshake() override { co_return true; }
  awaitable<size_t> read(char* data, size_t size) override {
    const auto [error, count] =
        co_await socket_.async_read_some(asio::buffer(data, size), no_throw);
    co_return error ? 0 : count;
  }
  awaitable<bool> write(const char* data, size_t size) override {
    const auto [error, count] =
        co_await asio::async_write(socket_, asio::buffer(data, size), no_throw);
    co_return !error;
  }
  awaitable<void> shutdown() override {
    boost::system::error_code ignored;
    socket_.shutdown(Tcp::socket::shutdown_send, ignored);
    co_return;
  }
  Tcp::socket& socket() override { return socket_; }
  bool secure() const override { return false; }

 private:
  Tcp::socket socket_;
};

class TlsTransport : public Transport {
 public:
  TlsTransport(Tcp::socket socket, asio::ssl::context& context)
      : stream_(std::move(socket), context) {}
  awaitable<bool> handshake() override {
    const auto [error] = co_await stream_.async_handshake(asio::ssl::stream_base::server, no_throw);
    co_return !error;
  }
  awaitable<size_t> read(char* data, size_t size) override {
    const auto [error, count] =
        co_await stream_.async_read_some(asio::buffer(data, size), no_throw);
    co_return error ? 0 : count;
  }
  awaitable<bool> write(const char* data, size_t size) override {
    const auto [error, count] =
        co_await asio::async_write(stream_, asio::buffer(data, size), no_throw);
    co_return !error;
  }
  awaitable<void> shutdown() override {
    SSL_shutdown(stream_.native_handle());  // queues the alert; the peer's is not waited for
    boost::system::error_code ignored;
    stream_.next_layer().shutdown(Tcp::socket::shutdown_send, ignored);
    co_return;
  }
  Tcp::socket& socket() override { return stream_.next_layer(); }
  bool secure() const override { return true; }

 private:
  asio::ssl::stream<Tcp::socket> stream_;
};

void set_options(Tcp::socket& socket, const HttpOptions& options) {
  boost::system::error_code ignored;
  socket.set_option(Tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  socket.set_option(asio::socket_base::send_buffer_size(send_buffer_bytes), ignored);
  const int timeout_ms = static_cast<int>(options.write_s * 1000);
  setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}

Tcp::endpoint endpoint_of(const HttpOptions& options) {
  boost::system::error_code error;
  const std::string host = options.host == "localhost" ? "127.0.0.1" : options.host;
  const auto address = asio::ip::make_address(host, error);
  if (error) fail(ErrorKind::usage, "'{}' is no IP address to listen on", options.host);
  return {address, options.port};
}

void raise_file_limit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::unique_ptr<asio::ssl::context> make_tls(const HttpOptions& options) {
  if (options.tls_cert.empty() && options.tls_key.empty()) return nullptr;
  if (options.tls_cert.empty() || options.tls_key.empty())
    fail(ErrorKind::usage, "TLS needs both a certificate and its key");
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  boost::system::error_code error;
  context->use_certificate_chain_file(options.tls_cert, error);
  if (error) fail(ErrorKind::file, "{}: no certificate: {}", options.tls_cert, error.message());
  context->use_private_key_file(options.tls_key, asio::ssl::context::pem, error);
  if (error) fail(ErrorKind::file, "{}: no key of it: {}", options.tls_key, error.message());
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_mode(context->native_handle(), SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context->native_handle(), SSL_OP_NO_RENEGOTIATION);
  return context;
}

}  // namespace

struct HttpServer::Impl {
  Impl(const HttpOptions& wanted, Handler& the_handler)
      : options(wanted), handler(the_handler), tls(make_tls(wanted)) {
    for (int i = 0; i < std::max(1, options.threads); ++i)
      loops.push_back(std::make_unique<Loop>(handler, options));
    acceptor = std::make_unique<Tcp::acceptor>(loops[0]->io);
    signals = std::make_unique<asio::signal_set>(loops[0]->io);
  }

  void open();
  awaitable<void> accept_all();
  void start(Loop& loop, Tcp::socket socket, const std::string& peer, std::shared_ptr<void> ticket);
  std::shared_ptr<void> admit(const std::string& peer);
  awaitable<void> sweep(Loop* loop);
  awaitable<void> take_signals();
  awaitable<void> drain();
  void begin_drain();
  void finish();

  const HttpOptions options;
  Handler& handler;
  std::unique_ptr<asio::ssl::context> tls;
  std::mutex mutex;  // of peers; taken by the tickets that die with the connections in loops
  std::unordered_map<std::string, int64_t> peers;
  std::atomic<int64_t> connections = 0, accepted = 0, refused = 0;
  std::atomic<int64_t> late = 0;  // of the connections, those that nobody waits for when draining
  std::vector<std::unique_ptr<Loop>> loops;
  std::unique_ptr<Tcp::acceptor> acceptor;
  std::unique_ptr<asio::signal_set> signals;
  uint16_t port = 0;
  bool draining = false, immediate = false;  // on the first loop's thread
};

namespace {

awaitable<void> serve_connection(std::shared_ptr<Connection> connection) {
  co_await connection->run();
}

}  // namespace

void HttpServer::Impl::open() {
  const Tcp::endpoint endpoint = endpoint_of(options);
  boost::system::error_code error;
  acceptor->open(endpoint.protocol(), error);
  if (!error) acceptor->set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(backlog, error);
  if (error)
    fail(ErrorKind::file, "cannot listen on {} port {}: {}", options.host, options.port,
         error.message());
  port = acceptor->local_endpoint().port();
}

// A place among the connections, given back when the pointer dies; null if there is none.
std::shared_ptr<void> HttpServer::Impl::admit(const std::string& peer) {
  ++accepted;
  const std::lock_guard lock(mutex);
  int64_t& of_peer = peers[peer];
  if (connections >= options.connections_max ||
      (options.connections_per_peer > 0 && of_peer >= options.connections_per_peer)) {
    ++refused;
    if (of_peer == 0) peers.erase(peer);
    return nullptr;
  }
  ++of_peer;
  ++connections;
  const bool is_late = draining;
  if (is_late) ++late;
  return {this, [this, peer, is_late](void*) {
            const std::lock_guard inner(mutex);
            if (is_late) --late;
            --connections;
            if (--peers[peer] == 0) peers.erase(peer);
          }};
}

void HttpServer::Impl::start(Loop& loop, Tcp::socket socket, const std::string& peer,
                             std::shared_ptr<void> ticket) {
  std::unique_ptr<Transport> transport;
  if (tls)
    transport = std::make_unique<TlsTransport>(std::move(socket), *tls);
  else
    transport = std::make_unique<PlainTransport>(std::move(socket));
  auto connection =
      std::make_shared<Connection>(loop, std::move(transport), peer, std::move(ticket));
  asio::co_spawn(loop.io, serve_connection(std::move(connection)), asio::detached);
}

awaitable<void> HttpServer::Impl::accept_all() {
  asio::steady_timer pause(loops[0]->io);
  for (size_t next = 0;; next = (next + 1) % loops.size()) {
    Loop& loop = *loops[next];
    Tcp::socket socket(loop.io);
    const auto [error] = co_await acceptor->async_accept(socket, no_throw);
    if (error) {  // out of descriptors, say: those who wait in the backlog have a chance later
      pause.expires_after(std::chrono::milliseconds(100));
      co_await pause.async_wait(no_throw);
      continue;
    }
    boost::system::error_code gone;
    const Tcp::endpoint endpoint = socket.remote_endpoint(gone);
    if (gone) continue;
    const std::string peer = endpoint.address().to_string();
    set_options(socket, options);
    std::shared_ptr<void> ticket = admit(peer);
    if (!ticket) {
      static constexpr std::string_view full =
          "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 5\r\n"
          "connection: close\r\n\r\n";
      if (!tls) socket.send(asio::buffer(full), MSG_DONTWAIT, gone);
      continue;
    }
    auto shared = std::make_shared<Tcp::socket>(std::move(socket));
    asio::post(loop.io, [this, &loop, shared, peer, ticket] {
      start(loop, std::move(*shared), peer, ticket);
    });
  }
}

awaitable<void> HttpServer::Impl::sweep(Loop* loop) {
  asio::steady_timer timer(loop->io);
  for (;;) {
    timer.expires_after(sweep_interval);
    co_await timer.async_wait(no_throw);
    const Clock::time_point now = Clock::now();
    for (Connection* connection : loop->connections) connection->check_deadline(now);
  }
}

void HttpServer::Impl::begin_drain() {
  if (draining) {
    immediate = true;
    return;
  }
  // Whoever comes now is told by a 503, and /readyz says why, until the process ends.
  draining = true;
  handler.drain();
  for (auto& loop : loops) {
    asio::post(loop->io, [loop = loop.get()] {
      loop->draining = true;
      for (Connection* connection : loop->connections)
        if (connection->idle()) connection->close();
    });
  }
  asio::co_spawn(loops[0]->io, drain(), asio::detached);
}

awaitable<void> HttpServer::Impl::take_signals() {
  for (;;) {
    const auto [error, number] = co_await signals->async_wait(no_throw);
    if (error) co_return;
    begin_drain();
  }
}

awaitable<void> HttpServer::Impl::drain() {
  asio::steady_timer timer(loops[0]->io);
  const auto seconds = std::chrono::milliseconds(static_cast<int64_t>(options.drain_s * 1000));
  const auto wait_until = [&](Clock::time_point end) {
    return connections > late && Clock::now() < end;
  };
  const Clock::time_point end = Clock::now() + seconds;
  while (wait_until(end) && !immediate) {
    timer.expires_after(drain_interval);
    co_await timer.async_wait(no_throw);
  }
  handler.end_all();
  const Clock::time_point last = Clock::now() + end_grace;
  while (wait_until(last)) {
    timer.expires_after(drain_interval);
    co_await timer.async_wait(no_throw);
  }
  finish();
}

void HttpServer::Impl::finish() {
  for (auto& loop : loops) loop->io.stop();
}

HttpServer::HttpServer(const HttpOptions& options, Handler& handler)
    : impl_(std::make_unique<Impl>(options, handler)) {
  raise_file_limit();
  signal(SIGPIPE, SIG_IGN);
  impl_->open();
}

HttpServer::~HttpServer() = default;

std::string HttpServer::url() const {
  const bool v6 = impl_->options.host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", impl_->tls ? "https" : "http", v6 ? "[" : "",
                     impl_->options.host, v6 ? "]" : "", impl_->port);
}

void HttpServer::run() {
  Impl& impl = *impl_;
  impl.signals->add(SIGTERM);
  impl.signals->add(SIGINT);
  asio::co_spawn(impl.loops[0]->io, impl.accept_all(), asio::detached);
  asio::co_spawn(impl.loops[0]->io, impl.take_signals(), asio::detached);
  for (auto& loop : impl.loops) asio::co_spawn(loop->io, impl.sweep(loop.get()), asio::detached);
  std::vector<std::thread> threads;
  for (size_t i = 1; i < impl.loops.size(); ++i)
    threads.emplace_back([loop = impl.loops[i].get()] { loop->io.run(); });
  impl.loops[0]->io.run();
  for (std::thread& thread : threads) thread.join();
}

void HttpServer::stop() {
  asio::post(impl_->loops[0]->io, [impl = impl_.get()] { impl->begin_drain(); });
}

HttpLoad HttpServer::load() const {
  HttpLoad load;
  load.connections = impl_->connections;
  load.accepted = impl_->accepted;
  load.refused = impl_->refused;
  for (const auto& loop : impl_->loops) load.timed_out += loop->timed_out;
  return load;
}

}  // namespace hadal::server
