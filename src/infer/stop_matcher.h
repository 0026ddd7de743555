// Finds stop strings in text that arrives token by token, also across tokens, and says how much of
// the text can no longer become one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hadal::infer {

class StopMatcher {
 public:
  explicit StopMatcher(std::vector<std::string> stops);

  struct Result {
    size_t safe = 0;  // of all bytes pushed so far, the first `safe` may be shown
    int stop = -1;    // index of the stop string that was met; then `safe` is where it begins
  };
  // The match that is complete first wins, of those that end together the longest: so the result
  // does not depend on how the text is cut into tokens. Nothing may be pushed after a match.
  Result push(std::string_view bytes);
  // Bytes (or a special token, of none) that no stop string may hold or reach across.
  Result skip(size_t bytes) {
    tail_.clear();
    pushed_ += bytes;
    return {pushed_, -1};
  }

 private:
  size_t held() const;

  std::vector<std::string> stops_;
  size_t longest_ = 0;
  std::string tail_;  // the last bytes pushed, at most longest_
  size_t pushed_ = 0;
};

}  // namespace hadal::infer
