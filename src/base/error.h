// Errors of two kinds. The world is wrong (a file, a flag, a request): throw Error, whose message
// says what, where and what to do. We are wrong (a shape, an invariant): HADAL_CHECK, which prints
// and aborts; untrusted input must never reach one.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace hadal {

enum class ErrorKind {
  usage,        // a flag or argument is wrong: exit code 2
  file,         // cannot open, read, write, map
  format,       // a file's content is broken or contradicts itself
  unsupported,  // understood, but not something that Hadal does (yet)
  limit,        // over a limit: context, memory, size
  interrupted,  // Ctrl+C: exit code 130
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

template <typename... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

[[noreturn]] void check_failed(const char* condition, const char* file, int line,
                               const std::string& message);

}  // namespace hadal

#define HADAL_CHECK(condition, ...)                                                    \
  do {                                                                                 \
    if (!(condition)) [[unlikely]]                                                     \
      ::hadal::check_failed(#condition, __FILE__, __LINE__, fmt::format(__VA_ARGS__)); \
  } while (false)
