// A response as it comes in: head, body by length or in chunks, the events of a stream. Bytes may
// be cut anywhere.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace hadal::bench {

class ResponseReader {
 public:
  // Called with the data of each event, in order.
  std::function<void(std::string_view data)> on_event;

  void feed(std::string_view bytes);
  // The connection has ended: a body without a length is whole, any other is not.
  void end();

  int status() const { return status_; }  // 0: the head has not come
  bool whole() const { return state_ == State::done; }
  bool broken() const { return state_ == State::broken; }  // this is no HTTP
  bool is_stream() const { return is_stream_; }
  int64_t comments() const { return comments_; }     // of a stream: signs of life
  const std::string& body() const { return body_; }  // of what is no stream

 private:
  enum class State { head, length, chunk_size, chunk, chunk_end, last, until_end, done, broken };

  bool step();
  bool line(std::string_view& text);
  void read_head(std::string_view head);
  void take(size_t size);
  void take_body(std::string_view bytes);
  void take_block(std::string_view block);

  State state_ = State::head;
  std::string in_;     // bytes that were not understood yet
  size_t at_ = 0;      // of them, taken
  uint64_t left_ = 0;  // of the body or the chunk
  int status_ = 0;
  bool is_stream_ = false;
  int64_t comments_ = 0;
  std::string body_;
  std::string lines_;  // of an event that is not whole
};

}  // namespace hadal::bench
