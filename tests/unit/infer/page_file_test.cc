#include "infer/page_file.h"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "base/error.h"

namespace hadal::infer {
namespace {

constexpr std::array<std::byte, 4> secret = {std::byte{1}, std::byte{2}, std::byte{3},
                                             std::byte{4}};

std::vector<std::byte> bytes_of(size_t count) {
  std::vector<std::byte> bytes(count);
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i * 37 + 11);
  return bytes;
}

std::vector<std::byte> file_of(const PageKey& key, const std::vector<std::byte>& content) {
  const PageFileEnds ends = page_file_ends(key, content);
  std::vector<std::byte> file(content.size() + page_file_overhead);
  std::ranges::copy(ends.front, file.begin());
  std::ranges::copy(content, file.begin() + 48);
  std::ranges::copy(ends.back, file.end() - 16);
  return file;
}

std::string refusal(std::span<const std::byte> file, const PageKey& key) {
  try {
    read_page_file(file, key);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::format);
    return error.what();
  }
}

TEST(PageFile, RoundTrip) {
  const PageKey key = root_page_key(secret, "model", 1);
  for (const size_t size : {size_t{0}, size_t{1}, size_t{1000}, size_t{100'000}}) {
    const std::vector<std::byte> content = bytes_of(size), file = file_of(key, content);
    EXPECT_EQ(file.size(), size + page_file_overhead);
    const std::span<const std::byte> read = read_page_file(file, key);
    EXPECT_TRUE(std::equal(content.begin(), content.end(), read.begin(), read.end()));
  }
}

TEST(PageFile, EveryTruncationIsRefused) {
  const PageKey key = root_page_key(secret, "model", 1);
  std::vector<std::byte> file = file_of(key, bytes_of(300));
  for (size_t size = 0; size < file.size(); ++size)
    EXPECT_NE(refusal(std::span(file).first(size), key), "") << size;
  file.push_back(std::byte{0});
  EXPECT_NE(refusal(file, key), "");
}

TEST(PageFile, EveryFlippedBitIsRefused) {
  const PageKey key = root_page_key(secret, "model", 1);
  std::vector<std::byte> file = file_of(key, bytes_of(100));
  for (size_t bit = 0; bit < file.size() * 8; ++bit) {
    file[bit / 8] ^= std::byte{1} << bit % 8;
    EXPECT_NE(refusal(file, key), "") << bit;
    file[bit / 8] ^= std::byte{1} << bit % 8;
  }
  EXPECT_EQ(refusal(file, key), "");
}

TEST(PageFile, SaysWhatIsWrong) {
  const PageKey key = root_page_key(secret, "model", 1);
  std::vector<std::byte> file = file_of(key, bytes_of(100));
  EXPECT_EQ(refusal(std::span(file).first(10), key), "it ends after 10 bytes");
  EXPECT_EQ(refusal(std::span(file).first(70), key), "it says 100 bytes and has 6");
  EXPECT_EQ(refusal(file, root_page_key(secret, "model", 2)),
            "it is another page than its name says");
  file[60] ^= std::byte{1};
  EXPECT_EQ(refusal(file, key), "its checksum does not fit its content");
  file[7] = std::byte{'2'};
  EXPECT_EQ(refusal(file, key), "it is no page of this version");
}

TEST(PageFile, KeysDependOnEverything) {
  std::vector<int32_t> tokens(64);
  std::iota(tokens.begin(), tokens.end(), 0);
  const PageKey root = root_page_key(secret, "model", 1);
  const PageKey first = next_page_key(root, tokens), second = next_page_key(first, tokens);
  EXPECT_EQ(first, next_page_key(root_page_key(secret, "model", 1), tokens));
  std::vector<PageKey> keys = {root,
                               first,
                               second,
                               root_page_key(secret, "model ", 1),
                               root_page_key(secret, "model", 2),
                               root_page_key(std::span(secret).first(3), "model", 1)};
  tokens.back() += 1;
  keys.push_back(next_page_key(root, tokens));
  for (size_t i = 0; i < keys.size(); ++i)
    for (size_t j = 0; j < i; ++j) EXPECT_NE(keys[i], keys[j]) << i << " " << j;
}

TEST(PageFile, NamesAreHashesAndNothingElse) {
  const PageKey key = root_page_key(secret, "model", 1);
  const std::string name = page_file_name(key);
  EXPECT_EQ(name.size(), 67u);
  EXPECT_EQ(parse_page_file_name(name), key);
  std::string upper = name;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  for (const std::string& other :
       {std::string(), std::string("secret"), name.substr(1), fmt::format("{}x", name),
        fmt::format("/{}", name.substr(1)), fmt::format("../{}", name.substr(3)),
        name.substr(0, 64), fmt::format("{}.12.part", name), upper})
    EXPECT_FALSE(parse_page_file_name(other)) << other;
}

}  // namespace
}  // namespace hadal::infer
