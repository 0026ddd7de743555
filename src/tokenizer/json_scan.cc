#include "tokenizer/json_scan.h"

#include <charconv>

namespace hadal::tokenizer {
namespace {

void append_utf8(std::string& out, uint32_t code) {
  const auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
    return;
  }
  if (code < 0x800) {
    put(0xC0 | code >> 6);
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
  }
  put(0x80 | (code & 0x3F));
}

bool is_scalar_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '+' || c == '.';
}

}  // namespace

JsonScanner::JsonScanner(std::string_view text, std::string source, std::string& arena)
    : text_(text), source_(std::move(source)), arena_(arena) {
  arena_.reserve(arena_.size() + text.size());
}

char JsonScanner::peek() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') {
      return c;
    }
    ++at_;
  }
  return '\0';
}

bool JsonScanner::accept(char c) {
  if (peek() != c || at_ == text_.size()) {
    return false;
  }
  ++at_;
  return true;
}

void JsonScanner::expect(char c) {
  if (!accept(c)) {
    fail_here("expected '{}'", c);
  }
}

void JsonScanner::expect_end() {
  peek();
  if (at_ != text_.size()) {
    fail_here("something follows the end of the JSON text");
  }
}

std::string_view JsonScanner::string() {
  if (!accept('"')) {
    fail_here("expected a string");
  }
  const size_t begin = at_;
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (c == '"') {
      return text_.substr(begin, at_++ - begin);
    }
    if (c == '\\') {
      return unescape(begin);
    }
    if (static_cast<unsigned char>(c) < 0x20) {
      fail_here("a string holds a bare control character");
    }
  }
  fail_here("the file ends inside a string");
}

uint32_t JsonScanner::hex4() {
  uint32_t value = 0;
  if (text_.size() - at_ < 4) {
    fail_here("the file ends inside a string");
  }
  const char* begin = text_.data() + at_;
  const auto [end, error] = std::from_chars(begin, begin + 4, value, 16);
  if (error != std::errc() || end != begin + 4) {
    fail_here("\\u needs four hexadecimal digits");
  }
  at_ += 4;
  return value;
}

// The rest of a string in which the first escape stands at at_.
std::string_view JsonScanner::unescape(size_t begin) {
  const size_t start = arena_.size();
  arena_ += text_.substr(begin, at_ - begin);
  while (at_ < text_.size()) {
    const char c = text_[at_++];
    if (c == '"') {
      return std::string_view(arena_).substr(start);
    }
    if (static_cast<unsigned char>(c) < 0x20) {
      fail_here("a string holds a bare control character");
    }
    if (c != '\\') {
      arena_ += c;
      continue;
    }
    const char escaped = at_ < text_.size() ? text_[at_++] : '\0';
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const size_t known = escaped == '\0' ? std::string_view::npos : kNames.find(escaped);
    if (known != std::string_view::npos) {
      arena_ += kMeanings[known];
      continue;
    }
    if (escaped != 'u') {
      fail_here("a string holds an unknown escape");
    }
    uint32_t code = hex4();
    if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_, 2) == "\\u") {
      at_ += 2;
      const uint32_t low = hex4();
      if (low < 0xDC00 || low > 0xDFFF) {
        fail_here("half a surrogate pair");
      }
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xD800 && code <= 0xDFFF) {
      fail_here("half a surrogate pair");
    }
    append_utf8(arena_, code);
  }
  fail_here("the file ends inside a string");
}

int64_t JsonScanner::integer() {
  peek();
  int64_t value = 0;
  const char* begin = text_.data() + at_;
  const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
  const bool fraction =
      end != text_.data() + text_.size() && (*end == '.' || *end == 'e' || *end == 'E');
  if (error != std::errc() || fraction) {
    fail_here("expected an integer");
  }
  at_ += static_cast<size_t>(end - begin);
  return value;
}

bool JsonScanner::word(std::string_view expected) {
  peek();
  if (text_.substr(at_, expected.size()) != expected) {
    return false;
  }
  at_ += expected.size();
  return true;
}

bool JsonScanner::boolean() {
  if (word("true")) {
    return true;
  }
  if (!word("false")) {
    fail_here("expected true or false");
  }
  return false;
}

bool JsonScanner::accept_null() {
  return word("null");
}

std::string_view JsonScanner::skip() {
  peek();
  const size_t begin = at_;
  const size_t arena_size = arena_.size();
  std::string open;  // closing brackets that are due
  do {
    const char c = peek();
    if (c == '"') {
      string();
      arena_.resize(arena_size);
    } else if (c == '{' || c == '[') {
      if (open.size() == kMostDepth) {
        fail_here("nested deeper than {} levels", kMostDepth);
      }
      open += c == '{' ? '}' : ']';
      ++at_;
    } else if (!open.empty() && c == open.back()) {
      open.pop_back();
      ++at_;
    } else if (!open.empty() && (c == ',' || c == ':')) {
      ++at_;
    } else if (at_ < text_.size() && is_scalar_char(c)) {
      while (at_ < text_.size() && is_scalar_char(text_[at_])) {
        ++at_;
      }
    } else {
      fail_here("expected a value");
    }
  } while (!open.empty());
  return text_.substr(begin, at_ - begin);
}

}  // namespace hadal::tokenizer
