#include "train/shards.h"

#include <vector>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "train/options.h"

namespace hadal::train {
namespace {

TEST(ShardSum, AddsInPairsAndPairsOfPairs) {
  ThreadPool pool(2);
  const auto value = [](uint64_t shard, uint64_t i) {
    return static_cast<float>(random_uniform(3, shard, i) - 0.5);
  };
  constexpr uint64_t size = 100'000;  // more than a thread takes at a time
  for (const uint64_t count : {1u, 2u, 8u}) {
    ShardSum sum;
    std::vector<float> values(size);
    for (int round = 0; round < 2; ++round)  // its memory is used again
      for (uint64_t shard = 0; shard < count; ++shard) {
        for (uint64_t i = 0; i < size; ++i) values[i] = value(shard, i);
        sum.add(pool, values, shard + 1 == count);
      }
    for (uint64_t i = 0; i < size; i += 777) {
      std::vector<float> tree;
      for (uint64_t shard = 0; shard < count; ++shard) tree.push_back(value(shard, i));
      for (; tree.size() > 1; tree.resize(tree.size() / 2))
        for (size_t k = 0; k < tree.size() / 2; ++k) tree[k] = tree[2 * k] + tree[2 * k + 1];
      ASSERT_EQ(values[i], tree[0]) << count << " shards, element " << i;
    }
  }
}

TEST(ShardSum, AsManyShardsAsLeaveWholeParts) {
  const auto count = [](int64_t rows, int64_t part, int64_t shards, int ranks) {
    TrainOptions options;
    options.data.rows = rows;
    options.part_rows = part;
    options.shards = shards;
    try {
      return shard_count(options, ranks);
    } catch (const Error&) {
      return int64_t{-1};
    }
  };
  EXPECT_EQ(count(128, 16, 0, 1), 4);
  EXPECT_EQ(count(128, 16, 0, 4), 4);
  EXPECT_EQ(count(32, 16, 0, 2), 2);
  EXPECT_EQ(count(31, 16, 0, 1), 1);
  EXPECT_EQ(count(6, 1, 0, 1), 2);
  EXPECT_EQ(count(128, 16, 8, 8), 8);
  EXPECT_EQ(count(128, 16, 0, 8), -1);
  EXPECT_EQ(count(128, 16, 6, 1), -1);
  EXPECT_EQ(count(12, 1, 8, 1), -1);
  EXPECT_EQ(count(128, 16, 0, 3), -1);
}

}  // namespace
}  // namespace hadal::train
