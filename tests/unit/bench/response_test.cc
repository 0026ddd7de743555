// The load client's reader: the same events wherever the bytes are cut.
#include "response.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace hadal::bench {
namespace {

const std::string stream_text =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    "transfer-encoding: chunked\r\n\r\n"
    "e\r\n: keep-alive\n\n\r\n"
    "d\r\ndata: {\"a\":1}\r\n2\r\n\n\n\r\n"
    "29\r\ndata: one\ndata: two\n\n: progress {}\n\ndata:\r\n"
    "9\r\n [DONE]\n\n\r\n0\r\n\r\n";

struct Read {
  std::vector<std::string> events;
  bool whole = false, broken = false;
  int64_t comments = 0;
  int status = 0;
  std::string body;
  bool operator==(const Read&) const = default;
};

Read read_in(const std::vector<std::string>& pieces, bool ends = false) {
  Read read;
  ResponseReader reader;
  reader.on_event = [&](std::string_view data) { read.events.emplace_back(data); };
  for (const std::string& piece : pieces) reader.feed(piece);
  if (ends) reader.end();
  read.whole = reader.whole();
  read.broken = reader.broken();
  read.comments = reader.comments();
  read.status = reader.status();
  read.body = reader.body();
  return read;
}

TEST(ResponseReader, ReadsTheSameWhereverAStreamIsCut) {
  const Read all = read_in({stream_text});
  EXPECT_EQ(all.events, (std::vector<std::string>{"{\"a\":1}", "one\ntwo", "[DONE]"}));
  EXPECT_EQ(all.comments, 2);
  EXPECT_TRUE(all.whole);
  for (size_t cut = 0; cut <= stream_text.size(); ++cut) {
    const std::string front = stream_text.substr(0, cut), back = stream_text.substr(cut);
    EXPECT_EQ(read_in({front, back}), all) << cut;
    const Read part = read_in({front}, true);
    EXPECT_EQ(part.whole, cut == stream_text.size()) << cut;
    EXPECT_EQ(part.broken, cut != stream_text.size()) << cut;
  }
  std::vector<std::string> bytes;
  for (const char c : stream_text) bytes.emplace_back(1, c);
  EXPECT_EQ(read_in(bytes), all);
}

TEST(ResponseReader, KnowsEveryKindOfBody) {
  const std::string head = "HTTP/1.1 404 Not Found\r\n";
  EXPECT_EQ(read_in({head + "content-length: 2\r\n\r\n{}"}).body, "{}");
  EXPECT_TRUE(read_in({head + "content-length: 0\r\n\r\n"}).whole);
  EXPECT_FALSE(read_in({head + "content-length: 3\r\n\r\n{}"}).whole);
  EXPECT_TRUE(read_in({"HTTP/1.1 204 No Content\r\n\r\n"}).whole);
  EXPECT_FALSE(read_in({head + "\r\nto the end"}).whole);
  EXPECT_TRUE(read_in({head + "\r\nto the end"}, true).whole);
  EXPECT_EQ(read_in({"HTTP/1.1 100 Continue\r\n\r\n" + head + "content-length: 0\r\n\r\n"}).status,
            404);
}

TEST(ResponseReader, RefusesWhatIsNoResponse) {
  const std::string chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
  for (const std::string& text :
       {std::string("HTTP/2 200\r\n\r\n"), std::string("220 mail\r\n\r\n"), chunked + "x\r\n",
        chunked + "-1\r\n", chunked + "fffffffffffffffff\r\n", chunked + "1\r\nab\r\n",
        chunked + "0\r\nmore\r\n", std::string("HTTP/1.1 200 OK\r\ncontent-length: 1x\r\n\r\n")}) {
    EXPECT_TRUE(read_in({text}).broken) << text;
  }
}

}  // namespace
}  // namespace hadal::bench
