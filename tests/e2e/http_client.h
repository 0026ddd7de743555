// A small HTTP client on bare sockets, which can also do what no decent client does.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace hadal::e2e {

using Json = nlohmann::ordered_json;

struct Reply {
  int status = 0;  // 0: the connection was closed without a response
  std::string head, body;
  Json json() const { return Json::parse(body, nullptr, false); }
  // The value of a header, "" if there is none.
  std::string header(const std::string& name) const {
    const size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "";
    const size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
  // The data of each event; a stream's last one is "[DONE]".
  std::vector<std::string> events() const {
    std::vector<std::string> list;
    for (size_t at = 0; (at = body.find("data: ", at)) != std::string::npos;) {
      const size_t end = body.find("\n\n", at);
      list.push_back(body.substr(at + 6, end - at - 6));
      at = end == std::string::npos ? body.size() : end;
    }
    return list;
  }
};

class HttpClient {
 public:
  // receive_buffer: > 0 makes the kernel keep no more for us.
  explicit HttpClient(uint16_t port, int receive_buffer = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer > 0)
      setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const int at_once = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) leave();
  }
  ~HttpClient() { leave(); }
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  void leave() {
    if (socket_ >= 0) close(socket_);
    socket_ = -1;
  }
  int descriptor() const { return socket_; }
  bool send_text(const std::string& text) {
    return ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(text.size());
  }

  // True once the text has come, from what was not read yet on.
  bool wait_for(const std::string& text, int timeout_ms = 20'000) {
    while (in_.find(text) == std::string::npos)
      if (!read_some(timeout_ms)) return false;
    return true;
  }
  void wait_size(size_t bytes) {
    while (in_.size() < bytes && read_some(20'000)) {
    }
  }
  // True if the server closes within the time; what it sent before is in received().
  bool wait_closed(int timeout_ms) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    while (true) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          end - std::chrono::steady_clock::now());
      if (left.count() <= 0) return false;
      if (!read_some(static_cast<int>(left.count()))) return closed_;
    }
  }
  const std::string& received() const { return in_; }

  Reply read_reply(int timeout_ms = 60'000) {
    Reply reply;
    if (!wait_for("\r\n\r\n", timeout_ms)) return reply;
    const size_t end = in_.find("\r\n\r\n");
    reply.head = in_.substr(0, end + 2);
    in_.erase(0, end + 4);
    reply.status = std::atoi(reply.head.c_str() + 9);
    if (reply.status == 100) return read_reply(timeout_ms);
    if (reply.header("transfer-encoding") == "chunked") {
      read_chunks(reply, timeout_ms);
    } else if (const std::string length = reply.header("content-length"); !length.empty()) {
      const size_t size = std::stoul(length);
      while (in_.size() < size && read_some(timeout_ms)) {
      }
      reply.body = in_.substr(0, size);
      in_.erase(0, size);
    } else if (reply.status != 204) {
      while (read_some(timeout_ms)) {
      }
      reply.body = std::exchange(in_, "");
    }
    return reply;
  }

  Reply get(const std::string& path, const std::string& headers = "") {
    send_text("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n");
    return read_reply();
  }
  void send_post(const std::string& path, const std::string& body,
                 const std::string& headers = "") {
    send_text("POST " + path +
              " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
              "Content-Length: " + std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body);
  }
  Reply post(const std::string& path, const std::string& body, const std::string& headers = "") {
    send_post(path, body, headers);
    return read_reply();
  }

 private:
  bool read_some(int timeout_ms) {
    pollfd ready = {socket_, POLLIN, 0};
    if (socket_ < 0 || poll(&ready, 1, timeout_ms) <= 0) return false;
    char buffer[16384];
    const ssize_t count = recv(socket_, buffer, sizeof buffer, 0);
    if (count <= 0) {
      closed_ = true;
      return false;
    }
    in_.append(buffer, static_cast<size_t>(count));
    return true;
  }

  void read_chunks(Reply& reply, int timeout_ms) {
    while (wait_for("\r\n", timeout_ms)) {
      const size_t line = in_.find("\r\n");
      const size_t size = std::stoul(in_.substr(0, line), nullptr, 16);
      while (in_.size() < line + 2 + size + 2)
        if (!read_some(timeout_ms)) return;
      reply.body += in_.substr(line + 2, size);
      in_.erase(0, line + 2 + size + 2);
      if (size == 0) return;
    }
  }

  int socket_ = -1;
  bool closed_ = false;
  std::string in_;
};

}  // namespace hadal::e2e
