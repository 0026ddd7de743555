#include "infer/reasoning.h"

namespace hadal::infer {

ReasoningTracker::ReasoningTracker(const Thinking& thinking)
    : budget_(thinking.budget),
      open_id_(thinking.open_id),
      close_id_(thinking.close_id),
      open_text_(thinking.open_text),
      close_text_(thinking.close_text),
      inside_(thinking.starts_inside) {}

bool ReasoningTracker::ends_with(int32_t token, int32_t id, const std::string& marker) const {
  if (id >= 0) return token == id;
  // The marker may be followed by text of the same token ("</think>\n").
  return !marker.empty() && tail_.find(marker) != std::string::npos;
}

bool ReasoningTracker::push(int32_t token, std::string_view text) {
  const std::string& awaited = inside_ ? close_text_ : open_text_;
  // What is left of earlier tokens is too short to hold the marker by itself.
  const size_t keep = awaited.empty() ? 0 : awaited.size() - 1;
  if (tail_.size() > keep) tail_.erase(0, tail_.size() - keep);
  tail_ += text;
  const bool was_inside = inside_;
  if (ends_with(token, inside_ ? close_id_ : open_id_, awaited)) {
    inside_ = !inside_;
    tail_.clear();
    return false;
  }
  if (was_inside) ++tokens_;
  return was_inside;
}

}  // namespace hadal::infer
