// What is written is read, and no damaged file is believed.
#include "data/token_store.h"

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "files.h"

namespace hadal::data {
namespace {

using testing::error_of;
using testing::ScratchFolder;

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void round_trip(int32_t vocabulary) {
  const ScratchFolder folder;
  TokenStoreWriter writer({vocabulary, 0, 42});
  const std::vector<int32_t> first = {0, 5, vocabulary - 1};
  const std::vector<int32_t> second = {0, 6, 7, 8, 9, 10, 11, 12};
  const std::vector<uint8_t> learnt = {0, 0, 1, 1, 0, 1, 1, 0};
  writer.add(first);
  writer.add({});
  writer.add(second, learnt);
  writer.write(folder.file("s"), false);
  const TokenStore store(folder.file("s"));
  EXPECT_EQ(store.vocabulary().size, vocabulary);
  EXPECT_EQ(store.vocabulary().tokenizer_hash, 42u);
  ASSERT_EQ(store.documents(), 2);
  ASSERT_EQ(store.tokens(), 11);
  EXPECT_EQ(store.begin(1), 3);
  EXPECT_EQ(store.begin(2), 11);
  for (int64_t i = 0; i < 11; ++i) {
    const auto at = static_cast<size_t>(i);
    EXPECT_EQ(store.token(i), i < 3 ? first[at] : second[at - 3]);
    EXPECT_EQ(store.learnt(i), i < 3 || learnt[at - 3] != 0);
  }
}

TEST(TokenStore, ComesBackNarrowAndWide) {
  round_trip(4096);
  round_trip(129280);
}

TEST(TokenStore, RefusesEveryDamagedByte) {
  const ScratchFolder folder;
  TokenStoreWriter writer({300, 0, 1});
  writer.add(std::vector<int32_t>{0, 1, 2, 299});
  writer.add(std::vector<int32_t>{0, 3, 4}, std::vector<uint8_t>{0, 0, 1});
  writer.write(folder.file("s"), false);
  const std::string good = read(folder.file("s"));
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x41);
    const std::string path = folder.write("bad", bad);
    EXPECT_NE(error_of([&] { const TokenStore store(path); }).find(path), std::string::npos) << i;
  }
  for (size_t length = 0; length < good.size(); ++length) {
    const std::string path = folder.write("short", good.substr(0, length));
    EXPECT_NE(error_of([&] { const TokenStore store(path); }), "") << length;
  }
}

}  // namespace
}  // namespace hadal::data
