#include "data/packing.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace hadal::data {
namespace {

// Shorter ends of long documents are not worth a segment: little context, much start.
constexpr int64_t kShortestRest = 16;

bool any_learnt(const TokenStore& store, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    if (store.learnt(i)) return true;
  }
  return false;
}

// The segments of all documents in order; returns the number of tokens that none of them reads.
int64_t cut_documents(const TokenStore& store, int64_t length, std::vector<Segment>& out) {
  int64_t left_out = 0;
  const bool has_bos = store.vocabulary().bos_id >= 0;
  for (int64_t d = 0; d < store.documents(); ++d) {
    const int64_t begin = store.begin(d);
    const int64_t last = store.begin(d + 1) - 1;  // only predicted
    int64_t at = begin + std::min(length, last - begin);
    if (at == begin || (store.marked() && !any_learnt(store, begin + 1, at + 1))) {
      left_out += last + 1 - begin;
      continue;
    }
    out.push_back({begin, static_cast<int32_t>(at - begin), false});
    while (at < last) {
      const int64_t extra = has_bos ? 1 : 0;
      const int64_t count = std::min(length - extra, last - at);
      if (store.marked() || count < std::min(kShortestRest, length - extra)) {
        left_out += last - at;
        break;
      }
      out.push_back({at, static_cast<int32_t>(count + extra), has_bos});
      at += count;
    }
  }
  return left_out;
}

// For each room 0..length, the rows that have it.
class Rooms {
 public:
  explicit Rooms(int64_t length) : rows_(static_cast<size_t>(length) + 1) {}
  // A row with the least room of at least `length`, taken out; -1: none.
  int64_t take(int32_t length) {
    for (auto room = static_cast<size_t>(length); room < rows_.size(); ++room) {
      if (rows_[room].empty()) continue;
      const uint32_t row = rows_[room].back();
      rows_[room].pop_back();
      room_ = static_cast<int32_t>(room);
      return row;
    }
    return -1;
  }
  int32_t room() const { return room_; }  // of the row taken last
  void put(uint32_t row, int32_t room) {
    if (room > 0) rows_[static_cast<size_t>(room)].push_back(row);
  }

 private:
  std::vector<std::vector<uint32_t>> rows_;
  int32_t room_ = 0;
};

}  // namespace

Packing::Packing(const TokenStore& store, int64_t length) {
  HADAL_CHECK(length >= 2 && length <= (1 << 24), "rows of {} tokens", length);
  std::vector<Segment> cut;
  left_ = cut_documents(store, length, cut);
  std::vector<uint32_t> order(cut.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return cut[a].length > cut[b].length; });
  Rooms rooms(length);
  std::vector<uint32_t> row_of(cut.size());
  uint32_t rows = 0;
  for (const uint32_t i : order) {
    const int64_t found = rooms.take(cut[i].length);
    const uint32_t row = found < 0 ? rows++ : static_cast<uint32_t>(found);
    const int32_t room = found < 0 ? static_cast<int32_t>(length) : rooms.room();
    row_of[i] = row;
    rooms.put(row, room - cut[i].length);
    used_ += cut[i].length;
  }
  begins_.assign(static_cast<size_t>(rows) + 1, 0);
  for (const uint32_t row : row_of) ++begins_[row + 1];
  std::partial_sum(begins_.begin(), begins_.end(), begins_.begin());
  segments_.resize(cut.size());
  std::vector<uint32_t> next(begins_.begin(), begins_.end() - 1);
  for (size_t i = 0; i < cut.size(); ++i) segments_[next[row_of[i]]++] = cut[i];
}

std::span<const Segment> Packing::row(int64_t index) const {
  const auto i = static_cast<size_t>(index);
  return std::span(segments_).subspan(begins_[i], begins_[i + 1] - begins_[i]);
}

}  // namespace hadal::data
