#include "response.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace hadal::bench {
namespace {

// The value of a header, in a head whose names are lower case; "" if there is none.
std::string_view header(std::string_view head, std::string_view name) {
  for (size_t at = head.find("\r\n"); at != std::string_view::npos; at = head.find("\r\n", at)) {
    at += 2;
    if (!head.substr(at).starts_with(name) || head.substr(at + name.size(), 2) != ": ") continue;
    const size_t begin = at + name.size() + 2;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
  return "";
}

// False for what is no number, or more than fits.
bool number(std::string_view text, int base, uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

}  // namespace

void ResponseReader::feed(std::string_view bytes) {
  in_ += bytes;
  while (step()) {
  }
  in_.erase(0, at_);
  at_ = 0;
}

void ResponseReader::end() {
  if (state_ == State::until_end) state_ = State::done;
  if (state_ != State::done) state_ = State::broken;
}

// A whole line, without its end; false if it has not come.
bool ResponseReader::line(std::string_view& text) {
  const size_t end = in_.find("\r\n", at_);
  if (end == std::string::npos) return false;
  text = std::string_view(in_).substr(at_, end - at_);
  at_ = end + 2;
  return true;
}

void ResponseReader::read_head(std::string_view head) {
  uint64_t status = 0;
  if (!head.starts_with("HTTP/1.1 ") || !number(head.substr(9, 3), 10, status)) {
    state_ = State::broken;
    return;
  }
  if (status == 100) return;  // the real one follows
  status_ = static_cast<int>(status);
  is_stream_ = header(head, "content-type").starts_with("text/event-stream");
  const std::string_view length = header(head, "content-length");
  state_ = State::until_end;
  if (header(head, "transfer-encoding") == "chunked") {
    state_ = State::chunk_size;
  } else if (!length.empty()) {
    state_ = number(length, 10, left_) ? State::length : State::broken;
    if (state_ == State::length && left_ == 0) state_ = State::done;
  } else if (status == 204) {
    state_ = State::done;
  }
}

// Goes on by one element; false if that has not come yet.
bool ResponseReader::step() {
  std::string_view text;
  switch (state_) {
    case State::head: {
      const size_t end = in_.find("\r\n\r\n", at_);
      if (end == std::string::npos) return false;
      const std::string head = in_.substr(at_, end + 2 - at_);
      at_ = end + 4;
      read_head(head);
      return true;
    }
    case State::chunk_size:
      if (!line(text)) return false;
      state_ = number(text, 16, left_) ? (left_ == 0 ? State::last : State::chunk) : State::broken;
      return true;
    case State::length:
    case State::chunk:
    case State::until_end: {
      if (at_ == in_.size()) return false;
      const uint64_t bound =
          state_ == State::until_end ? std::numeric_limits<uint64_t>::max() : left_;
      take(static_cast<size_t>(std::min<uint64_t>(bound, in_.size() - at_)));
      return true;
    }
    case State::chunk_end:
    case State::last: {
      if (!line(text)) return false;
      const State next = state_ == State::last ? State::done : State::chunk_size;
      state_ = text.empty() ? next : State::broken;
      return true;
    }
    case State::done:
    case State::broken:
      break;
  }
  return false;
}

void ResponseReader::take(size_t size) {
  take_body(std::string_view(in_).substr(at_, size));
  at_ += size;
  if (state_ == State::until_end) return;
  left_ -= size;
  if (left_ == 0) state_ = state_ == State::chunk ? State::chunk_end : State::done;
}

void ResponseReader::take_body(std::string_view bytes) {
  if (!is_stream_) {
    body_ += bytes;
    return;
  }
  lines_ += bytes;
  size_t begin = 0;
  for (size_t end = 0; (end = lines_.find("\n\n", begin)) != std::string::npos; begin = end + 2)
    take_block(std::string_view(lines_).substr(begin, end - begin));
  lines_.erase(0, begin);
}

// The lines up to an empty one: an event, or comments.
void ResponseReader::take_block(std::string_view block) {
  std::string data;
  bool has_data = false;
  for (size_t begin = 0; begin < block.size();) {
    const size_t end = std::min(block.find('\n', begin), block.size());
    const std::string_view text = block.substr(begin, end - begin);
    if (text.starts_with(":")) ++comments_;
    if (text.starts_with("data: ")) {
      if (has_data) data += '\n';
      has_data = true;
      data += text.substr(6);
    }
    begin = end + 1;
  }
  if (has_data && on_event) on_event(data);
}

}  // namespace hadal::bench
