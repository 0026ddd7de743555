#include "grammar/vocabulary.h"

#include <algorithm>
#include <numeric>
#include <string_view>

#include "base/error.h"

namespace hadal::grammar {
namespace {

size_t common_prefix(std::string_view a, std::string_view b) {
  const size_t most = std::min(a.size(), b.size());
  size_t n = 0;
  while (n < most && a[n] == b[n]) ++n;
  return n;
}

}  // namespace

Vocabulary::Vocabulary(const tokenizer::Tokenizer& tokenizer, int64_t size)
    : tokenizer_(&tokenizer), size_(size) {
  std::vector<int32_t> ids;
  const auto last = static_cast<int32_t>(std::min<int64_t>(tokenizer.size(), size));
  for (int32_t id = 0; id < last; ++id) {
    const size_t bytes = tokenizer.token_bytes(id).size();
    // Longer ones are no words of any language; a depth has 16 bits.
    if (!tokenizer.is_special(id) && bytes > 0 && bytes < 60'000) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
    const int order = tokenizer.token_bytes(a).compare(tokenizer.token_bytes(b));
    return order != 0 ? order < 0 : a < b;
  });
  text_.resize(words());
  for (const int32_t id : ids)
    text_[static_cast<size_t>(id) / 64] |= uint64_t{1} << (static_cast<size_t>(id) % 64);
  std::vector<size_t> open;  // the nodes on the way to the last token
  std::string_view previous;
  const auto close = [&](size_t depth) {
    for (; open.size() > depth; open.pop_back())
      nodes_[open.back()].end = static_cast<uint32_t>(nodes_.size());
  };
  int32_t previous_id = -1;
  for (const int32_t id : ids) {
    const std::string_view bytes = tokenizer.token_bytes(id);
    if (previous_id >= 0 && bytes == previous) {
      twins_.emplace_back(previous_id, id);
      previous_id = id;
      continue;
    }
    close(common_prefix(bytes, previous));
    for (size_t depth = open.size(); depth < bytes.size(); ++depth) {
      open.push_back(nodes_.size());
      nodes_.push_back(
          {-1, 0, static_cast<uint16_t>(depth + 1), static_cast<uint8_t>(bytes[depth])});
    }
    nodes_.back().token = id;
    depth_max_ = std::max(depth_max_, bytes.size());
    previous = bytes;
    previous_id = id;
  }
  close(0);
}

}  // namespace hadal::grammar
