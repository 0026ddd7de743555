#include "infer/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace hadal::infer {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  for (const std::string& stop : stops_) longest_ = std::max(longest_, stop.size());
}

StopMatcher::Result StopMatcher::push(std::string_view bytes) {
  if (longest_ == 0) {
    pushed_ += bytes.size();
    return {pushed_, -1};
  }
  for (const char byte : bytes) {
    if (tail_.size() == longest_) tail_.erase(0, 1);
    tail_ += byte;
    ++pushed_;
    int met = -1;
    for (size_t i = 0; i < stops_.size(); ++i)
      if (!stops_[i].empty() && tail_.ends_with(stops_[i]) &&
          (met < 0 || stops_[i].size() > stops_[static_cast<size_t>(met)].size()))
        met = static_cast<int>(i);
    if (met >= 0) return {pushed_ - stops_[static_cast<size_t>(met)].size(), met};
  }
  return {pushed_ - held(), -1};
}

// Length of the longest end of the text that begins a stop string.
size_t StopMatcher::held() const {
  size_t most = 0;
  for (const std::string& stop : stops_)
    for (size_t n = std::min(tail_.size(), stop.size()); n > most; --n)
      if (std::string_view(tail_).substr(tail_.size() - n) == std::string_view(stop).substr(0, n))
        most = n;
  return most;
}

}  // namespace hadal::infer
