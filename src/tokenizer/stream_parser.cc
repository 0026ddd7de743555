#include "tokenizer/stream_parser.h"

#include <algorithm>

namespace hadal::tokenizer {
namespace {

// Ends of text and of turns, and the beginnings of foreign turns: a model that writes one of them
// has left its answer.
constexpr std::string_view kEnds[] = {
    "<｜end▁of▁sentence｜>", "<|EOT|>",    "<|im_end|>", "<|endoftext|>",
    "<|end_of_text|>",       "<|eot_id|>", "<|eom_id|>", "<｜User｜>",
    "<|im_start|>",
};

std::unordered_map<int32_t, Marker> find_markers(const Tokenizer& tokenizer) {
  std::unordered_map<int32_t, Marker> out;
  for (size_t i = 0; i < kMarkerCount; ++i) {
    const auto marker = static_cast<Marker>(i);
    if (const auto id = tokenizer.special_id(marker_text(marker))) {
      out.emplace(*id, marker);
    }
  }
  for (int32_t id : answer_end_ids(tokenizer)) {
    out.insert_or_assign(id, Marker::end);
  }
  return out;
}

std::array<bool, kMarkerCount> present(const std::unordered_map<int32_t, Marker>& markers) {
  std::array<bool, kMarkerCount> out{};
  for (const auto& [id, marker] : markers) {
    out[static_cast<size_t>(marker)] = true;
  }
  return out;
}

}  // namespace

StreamParser::StreamParser(const Tokenizer& tokenizer, Generation generation, bool starts_thinking)
    : tokenizer_(tokenizer),
      markers_(find_markers(tokenizer)),
      markup_(generation, starts_thinking, present(markers_)) {}

std::vector<StreamEvent> StreamParser::push(int32_t id) {
  const auto marker = markers_.find(id);
  if (marker != markers_.end()) {
    return markup_.push_marker(marker->second);
  }
  if (tokenizer_.is_special(id)) {
    return markup_.push_marker(Marker::other);
  }
  return markup_.push_text(tokenizer_.token_bytes(id));
}

std::vector<StreamEvent> StreamParser::push_text(std::string_view bytes) {
  return markup_.push_text(bytes);
}

std::vector<StreamEvent> StreamParser::finish() {
  return markup_.finish();
}

std::vector<int32_t> answer_end_ids(const Tokenizer& tokenizer) {
  std::vector<int32_t> out;
  for (std::string_view text : kEnds) {
    if (const auto id = tokenizer.special_id(text)) {
      out.push_back(*id);
    }
  }
  if (tokenizer.eos_id() >= 0) {
    out.push_back(tokenizer.eos_id());
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace hadal::tokenizer
