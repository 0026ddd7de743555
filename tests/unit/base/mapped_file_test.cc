#include "base/mapped_file.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "base/error.h"

namespace hadal {
namespace {

std::string file_with(const std::string& name, const std::string& text) {
  const std::string path = ::testing::TempDir() + "hadal_mapped_" + name;
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

std::string text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

TEST(MappedFile, ShowsTheBytes) {
  const MappedFile file(file_with("plain", std::string("a\0b", 3)));
  EXPECT_EQ(text_of(file), std::string("a\0b", 3));
}

TEST(MappedFile, TakesAnEmptyFile) {
  EXPECT_TRUE(MappedFile(file_with("empty", "")).bytes().empty());
}

TEST(MappedFile, MovesItsMapping) {
  MappedFile first(file_with("first", "one"));
  MappedFile second(file_with("second", "two"));
  second = std::move(first);
  EXPECT_EQ(text_of(second), "one");
  const MappedFile third(std::move(second));
  EXPECT_EQ(text_of(third), "one");
}

TEST(MappedFile, NamesWhatItCannotMap) {
  for (const std::string& path : {std::string("/no/such/file"), ::testing::TempDir()}) {
    try {
      const MappedFile file(path);
      FAIL() << path << " was mapped";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::file);
      EXPECT_NE(std::strstr(error.what(), path.c_str()), nullptr) << error.what();
    }
  }
}

}  // namespace
}  // namespace hadal
