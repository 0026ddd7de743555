#include "train/shards.h"

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "train/options.h"

namespace hadal::train {
namespace {

constexpr int64_t chunk = 65536;  // elements that a thread takes at a time

}  // namespace

int64_t shard_count(const TrainOptions& options, int ranks) {
  const int64_t rows = options.data.rows;
  int64_t count = options.shards;
  for (const int64_t wanted : {4, 2, 1})
    if (count == 0 && rows % wanted == 0 && rows / wanted >= options.part_rows) count = wanted;
  if (count == 0) count = 1;
  if (!std::has_single_bit(static_cast<uint64_t>(count)) || rows % count != 0)
    fail(ErrorKind::usage,
         "data.shards = {}: it must be a power of two that divides the {} sequences of a step",
         count, rows);
  if (!std::has_single_bit(static_cast<unsigned>(ranks)) || count % ranks != 0)
    fail(ErrorKind::usage,
         "{} ranks cannot share {} shards of gradients: use 1, 2, 4 ... ranks, at most so many, or "
         "set data.shards (the sums of a run depend on it, not on the ranks)",
         ranks, count);
  return count;
}

void ShardSum::add(ThreadPool& pool, std::span<float> values, bool is_last) {
  int level = 0;
  const auto by_chunks = [&](const auto& body) {
    pool.parallel_for(static_cast<int64_t>(values.size()), chunk,
                      [&](int64_t begin, int64_t end, int) { body(begin, end); });
  };
  while (!open_.empty() && open_.back().level == level) {
    const float* before = buffers_[open_.back().buffer].get(0);
    by_chunks([&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) values[static_cast<size_t>(i)] += before[i];
    });
    open_.pop_back();
    ++level;
  }
  if (is_last) {
    HADAL_CHECK(open_.empty(), "a number of shards that is no power of two");
    return;
  }
  if (buffers_.size() == open_.size()) buffers_.emplace_back();
  float* kept = buffers_[open_.size()].get(static_cast<int64_t>(values.size()));
  by_chunks([&](int64_t begin, int64_t end) {
    std::copy(values.begin() + begin, values.begin() + end, kept + begin);
  });
  open_.push_back({level, open_.size()});
}

}  // namespace hadal::train
