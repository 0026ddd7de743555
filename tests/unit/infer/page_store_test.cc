#include "infer/page_store.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <mutex>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

namespace hadal::infer {
namespace {

namespace fs = std::filesystem;

constexpr int64_t content_bytes = 5000;
constexpr int64_t file_bytes = 8192;  // on disk, in blocks

void nothing() {}

class PageStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = ::testing::TempDir() + "/hadal_pages_" + info->name() + std::to_string(getpid());
    fs::remove_all(folder_);
    options_.folder = folder_;
    options_.bytes_max = 1 << 20;
    options_.log = [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      log_ += line + "\n";
    };
  }
  void TearDown() override { fs::remove_all(folder_); }

  static PageKey key_of(int number) {
    return root_page_key({}, "test", static_cast<uint64_t>(number));
  }
  static std::vector<std::byte> content_of(int number) {
    return std::vector<std::byte>(content_bytes, static_cast<std::byte>(number));
  }
  static void save(PageStore& store, int number) {
    store.save(key_of(number), store.time(), [&] { return content_of(number); });
    store.wait_written();
  }
  // What take() says in the end.
  static PageStore::Taken take(PageStore& store, PageStore::Fetch& fetch, int number,
                               std::vector<std::byte>& file) {
    for (;;) {
      const PageStore::Taken taken = store.take(fetch, key_of(number), file);
      if (taken != PageStore::Taken::pending) return taken;
      usleep(500);
    }
  }
  static bool can_read(PageStore& store, int number) {
    const auto fetch = store.fetch({key_of(number)});
    std::vector<std::byte> file;
    if (take(store, *fetch, number, file) != PageStore::Taken::page) return false;
    const std::span<const std::byte> read = read_page_file(file, key_of(number));
    const std::vector<std::byte> content = content_of(number);
    return std::equal(read.begin(), read.end(), content.begin(), content.end());
  }
  std::string path_of(int number) const { return folder_ + "/" + page_file_name(key_of(number)); }
  int64_t files() const {
    return std::distance(fs::directory_iterator(folder_), fs::directory_iterator()) - 1;  // secret
  }
  std::string log() {
    const std::lock_guard lock(mutex_);
    return log_;
  }

  std::string folder_;
  DiskCacheOptions options_;
  std::mutex mutex_;
  std::string log_;
};

TEST_F(PageStoreTest, PagesAreThereAfterARestart) {
  {
    PageStore store(options_, content_bytes, nothing);
    for (int i = 0; i < 5; ++i) save(store, i);
    EXPECT_TRUE(store.has(key_of(4)));
    EXPECT_TRUE(can_read(store, 4));
    save(store, 4);  // is there
    EXPECT_EQ(store.stats().writes, 5);
    EXPECT_EQ(store.stats().bytes, 5 * file_bytes);
  }
  PageStore store(options_, content_bytes, nothing);
  EXPECT_EQ(store.stats().pages, 5);
  const auto fetch = store.fetch({key_of(0), key_of(1), key_of(2), key_of(7)});
  std::vector<std::byte> file;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(take(store, *fetch, i, file), PageStore::Taken::page);
    EXPECT_EQ(read_page_file(file, key_of(i))[17], static_cast<std::byte>(i));
  }
  EXPECT_EQ(take(store, *fetch, 7, file), PageStore::Taken::none);
  EXPECT_EQ(store.stats().hits, 3);
  EXPECT_EQ(log(), "");
}

TEST_F(PageStoreTest, TheEndWritesWhatWaits) {
  {
    PageStore store(options_, content_bytes, nothing);
    for (int i = 0; i < 50; ++i) store.save(key_of(i), store.time(), [&] { return content_of(i); });
  }
  EXPECT_EQ(files(), 50);
}

TEST_F(PageStoreTest, BrokenFilesAreDiscarded) {
  {
    PageStore store(options_, content_bytes, nothing);
    for (int i = 0; i < 6; ++i) save(store, i);
  }
  fs::resize_file(path_of(0), 100);
  fs::resize_file(path_of(1), 0);
  fs::rename(path_of(3), path_of(2));
  {
    std::fstream file(path_of(4), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(2000);
    file.put('x');
  }
  std::ofstream(path_of(8)) << std::string(100'000, 'x');  // larger than a page
  fs::create_symlink(path_of(5), path_of(6));
  ASSERT_EQ(mkfifo(path_of(7).c_str(), 0600), 0);
  PageStore store(options_, content_bytes, nothing);
  for (const int i : {0, 1, 2, 4, 6, 7, 8}) {
    EXPECT_TRUE(store.has(key_of(i))) << i;
    EXPECT_FALSE(can_read(store, i)) << i;
    EXPECT_FALSE(store.has(key_of(i))) << i;
    EXPECT_FALSE(fs::exists(fs::symlink_status(path_of(i)))) << i;
    EXPECT_NE(log().find(path_of(i) + ": discarded: "), std::string::npos) << i;
  }
  EXPECT_FALSE(store.has(key_of(3)));
  EXPECT_TRUE(can_read(store, 5));
  EXPECT_EQ(store.stats().discarded, 7);
  EXPECT_EQ(store.stats().bytes, file_bytes);
  save(store, 0);
  EXPECT_TRUE(can_read(store, 0));
}

TEST_F(PageStoreTest, ALostFileIsAMiss) {
  PageStore store(options_, content_bytes, nothing);
  save(store, 1);
  fs::remove(path_of(1));
  EXPECT_FALSE(can_read(store, 1));
  EXPECT_FALSE(store.has(key_of(1)));
  EXPECT_EQ(store.stats().bytes, 0);
  EXPECT_EQ(store.stats().discarded, 0);
}

TEST_F(PageStoreTest, LeftoversOfAnInterruptedWriteAreRemoved) {
  {
    const PageStore store(options_, content_bytes, nothing);
  }
  std::ofstream(path_of(1) + ".part") << "half";
  std::ofstream(folder_ + "/notes.part") << "not ours";
  PageStore store(options_, content_bytes, nothing);
  EXPECT_FALSE(fs::exists(path_of(1) + ".part"));
  EXPECT_TRUE(fs::exists(folder_ + "/notes.part"));
  EXPECT_EQ(store.stats().pages, 0);
}

TEST_F(PageStoreTest, TheLeastRecentlyUsedGoFirst) {
  options_.bytes_max = 4 * file_bytes;
  {
    PageStore store(options_, content_bytes, nothing);
    for (int i = 0; i < 4; ++i) save(store, i);
    const PageKey used[] = {key_of(1), key_of(0)};
    store.used(used);
    save(store, 4);
    EXPECT_FALSE(store.has(key_of(2)));
    EXPECT_EQ(store.stats().evicted, 1);
    EXPECT_LE(store.stats().bytes, options_.bytes_max);
  }
  // The order outlives the program: 3, 1, 0, 4.
  options_.bytes_max = 3 * file_bytes;
  PageStore store(options_, content_bytes, nothing);
  EXPECT_FALSE(store.has(key_of(3)));
  save(store, 5);
  EXPECT_FALSE(store.has(key_of(1)));
  for (const int i : {0, 4, 5}) EXPECT_TRUE(can_read(store, i)) << i;
  EXPECT_EQ(files(), 3);
}

TEST_F(PageStoreTest, WhatIsUsedWhileItWaitsKeepsItsPlace) {
  options_.bytes_max = 3 * file_bytes;
  PageStore store(options_, content_bytes, nothing);
  for (int i = 0; i < 3; ++i) store.save(key_of(i), store.time(), [&] { return content_of(i); });
  const PageKey used[] = {key_of(2), key_of(1), key_of(0)};
  store.used(used);
  store.wait_written();
  save(store, 3);
  EXPECT_FALSE(store.has(key_of(2)));
  EXPECT_TRUE(store.has(key_of(0)));
}

TEST_F(PageStoreTest, NothingPushesOutWhatIsOfUseWithIt) {
  options_.bytes_max = 3 * file_bytes;
  PageStore store(options_, content_bytes, nothing);
  save(store, 0);
  const int64_t since = store.time();
  for (int i = 1; i < 6; ++i) {
    store.save(key_of(i), since, [&] { return content_of(i); });
    store.wait_written();
  }
  for (int i = 0; i < 6; ++i) EXPECT_EQ(store.has(key_of(i)), i >= 1 && i < 4) << i;
  EXPECT_EQ(store.stats().dropped, 2);
}

TEST_F(PageStoreTest, APageLargerThanAllIsNotKept) {
  options_.bytes_max = 4096;
  PageStore store(options_, content_bytes, nothing);
  save(store, 1);
  EXPECT_FALSE(store.has(key_of(1)));
  EXPECT_EQ(store.stats().dropped, 1);
  EXPECT_EQ(files(), 0);
}

TEST_F(PageStoreTest, ADiskThatTakesNothingIsSaidOnceAndLeftAlone) {
  PageStore store(options_, content_bytes, nothing);
  save(store, 1);
  // As a disk that is full: nothing beyond the first 1,000 bytes of a file.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 1000;
  setrlimit(RLIMIT_FSIZE, &small);
  for (int i = 2; i < 6; ++i) save(store, i);
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(store.stats().dropped, 4);
  EXPECT_EQ(store.stats().misses, 5);
  EXPECT_EQ(files(), 1);
  const std::string said = log();
  EXPECT_NE(said.find("nothing is kept on disk"), std::string::npos) << said;
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  EXPECT_TRUE(can_read(store, 1));  // what is there still serves
}

TEST_F(PageStoreTest, WhoLetsGoEndsTheReading) {
  PageStore store(options_, content_bytes, nothing);
  for (int i = 0; i < 3; ++i) save(store, i);
  for (int i = 0; i < 200; ++i) store.fetch({key_of(0), key_of(1), key_of(2)});
  EXPECT_TRUE(can_read(store, 2));
}

TEST_F(PageStoreTest, TheFolderIsForItsOwnerAlone) {
  {
    const PageStore store(options_, content_bytes, nothing);
  }
  const auto mode = [](const std::string& path) {
    struct stat info = {};
    stat(path.c_str(), &info);
    return info.st_mode & 0777;
  };
  EXPECT_EQ(mode(folder_), 0700u);
  EXPECT_EQ(mode(folder_ + "/secret"), 0600u);
  chmod(folder_.c_str(), 0755);
  EXPECT_THROW((PageStore{options_, content_bytes, nothing}), Error);
  fs::remove(folder_ + "/secret");
  {
    const PageStore store(options_, content_bytes, nothing);
  }  // an empty one is closed
  EXPECT_EQ(mode(folder_), 0700u);
}

TEST_F(PageStoreTest, OneProgramAtATime) {
  const PageStore store(options_, content_bytes, nothing);
  try {
    const PageStore other(options_, content_bytes, nothing);
    FAIL() << "two have the folder";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("used by another program"), std::string::npos);
  }
}

TEST_F(PageStoreTest, ANewSecretEndsOldPages) {
  std::vector<std::byte> secret;
  {
    PageStore store(options_, content_bytes, nothing);
    secret.assign(store.secret().begin(), store.secret().end());
    save(store, 1);
  }
  {
    const PageStore store(options_, content_bytes, nothing);
    EXPECT_TRUE(std::equal(secret.begin(), secret.end(), store.secret().begin()));
  }
  fs::resize_file(folder_ + "/secret", 31);
  const PageStore store(options_, content_bytes, nothing);
  EXPECT_FALSE(std::equal(secret.begin(), secret.end(), store.secret().begin()));
  EXPECT_EQ(store.stats().pages, 0);
  EXPECT_EQ(files(), 0);
}

}  // namespace
}  // namespace hadal::infer
