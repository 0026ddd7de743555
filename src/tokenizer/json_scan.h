// A forward reader of JSON for files of megabytes of which most is one object and one array:
// strings are views into the file where they hold no escapes, small sections come out as ranges for
// a real JSON library. Everything thrown is Error(format) with source and byte.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace hadal::tokenizer {

class JsonScanner {
 public:
  static constexpr int kMostDepth = 64;

  // `arena` takes unescaped strings and must outlive the views; it is never moved: its capacity is
  // set to the size of `text`, which no unescaped string exceeds.
  JsonScanner(std::string_view text, std::string source, std::string& arena);

  // The next character that is not white space; 0 at the end.
  char peek();
  // Skips white space, and `c` if it is next.
  bool accept(char c);
  void expect(char c);
  void expect_end();

  std::string_view string();
  int64_t integer();
  bool boolean();
  bool accept_null();
  // Skips a value of any kind, nested up to kMostDepth, and returns its text.
  std::string_view skip();

  // Calls `member(key)` for each member of an object; `member` reads the value.
  template <typename Member>
  void object(Member member) {
    expect('{');
    if (accept('}')) {
      return;
    }
    do {
      const std::string_view key = string();
      expect(':');
      member(key);
    } while (accept(','));
    expect('}');
  }

  // Calls `element()` for each element of an array; `element` reads it.
  template <typename Element>
  void array(Element element) {
    expect('[');
    if (accept(']')) {
      return;
    }
    do {
      element();
    } while (accept(','));
    expect(']');
  }

  template <typename... Args>
  [[noreturn]] void fail_here(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorKind::format, "{}: byte {}: {}", source_, at_,
         fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  std::string_view unescape(size_t begin);
  uint32_t hex4();
  bool word(std::string_view expected);

  std::string_view text_;
  std::string source_;
  std::string& arena_;
  size_t at_ = 0;
};

}  // namespace hadal::tokenizer
