#include "server/http_parser.h"

#include <gtest/gtest.h>

namespace hadal::server {
namespace {

// Feeds in pieces of that size; what is left over stays for the next request.
std::string feed(HttpParser& parser, std::string bytes, size_t piece) {
  std::string buffer;
  while (!parser.done() && !parser.failed()) {
    const size_t before = buffer.size();
    buffer += bytes.substr(0, piece);
    bytes.erase(0, piece);
    const size_t taken = parser.feed(buffer);
    buffer.erase(0, taken);
    if (taken == 0 && buffer.size() == before && bytes.empty()) break;
  }
  return buffer + bytes;
}

TEST(HttpParser, ReadsARequestInPiecesOfAnySize) {
  const std::string text =
      "POST /v1/x?y=1 HTTP/1.1\r\nHost: a\r\nX-Api-Key:  k \r\nTransfer-Encoding: chunked\r\n\r\n"
      "5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    HttpParser parser({});
    EXPECT_EQ(feed(parser, text + "NEXT", piece).substr(0, 4).size(), 4u);
    ASSERT_TRUE(parser.done()) << piece << " " << parser.message();
    EXPECT_TRUE(parser.keep_alive());
    const HttpRequest request = parser.take();
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.path, "/v1/x");
    EXPECT_EQ(request.query, "y=1");
    EXPECT_EQ(*request.header("x-api-key"), "k");
    EXPECT_EQ(request.body, "hello world");
  }
}

TEST(HttpParser, StopsBehindTheHeaderAndLeavesTheNextRequest) {
  HttpParser parser({});
  const std::string text = "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxyGET /b";
  const size_t header = parser.feed(text);
  EXPECT_TRUE(parser.header_done());
  EXPECT_FALSE(parser.done());
  EXPECT_EQ(parser.content_length(), 2u);
  const size_t body = parser.feed(std::string_view(text).substr(header));
  EXPECT_TRUE(parser.done());
  EXPECT_EQ(text.substr(header + body), "GET /b");
}

TEST(HttpParser, BoundsHeaderAndBody) {
  ParserLimits limits;
  limits.header_bytes = 200;
  limits.body_bytes = 10;
  const auto status = [&](const std::string& text) {
    HttpParser parser(limits);
    feed(parser, text, text.size());
    return parser.status();
  };
  const std::string start = "POST / HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(status(start + "X: " + std::string(300, 'x') + "\r\n\r\n"), 431);
  EXPECT_EQ(status(start + "X: " + std::string(300, 'x')), 431);  // without an end
  EXPECT_EQ(status(start + "Content-Length: 11\r\n\r\n"), 413);
  EXPECT_EQ(status(start + "Content-Length: 10\r\n\r\n0123456789"), 0);
  EXPECT_EQ(status(start + "Transfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n6\r\n012345\r\n"),
            413);
}

TEST(HttpParser, KnowsVersionsAndExpectations) {
  HttpParser old({});
  feed(old, "GET / HTTP/1.0\r\n\r\n", 5);
  EXPECT_TRUE(old.done());
  EXPECT_TRUE(old.is_http_10());
  EXPECT_FALSE(old.keep_alive());
  HttpParser careful({});
  feed(careful, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n",
       99);
  EXPECT_TRUE(careful.wants_continue());
}

}  // namespace
}  // namespace hadal::server
