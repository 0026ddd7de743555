#include "server/access.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/error.h"
#include "server/api_error.h"
#include "server/text.h"

namespace hadal::server {
namespace {

class AccessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "/hadal_access_" + random_hex(4);
    std::filesystem::create_directories(folder_);
    options_.keys_path = folder_ + "/keys.json";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string add_key(const std::string& name, const KeyLimits& limits = {}) {
    KeyFile file(options_.keys_path);
    const NewKey made = make_key(name, limits);
    file.keys().push_back(made.record);
    file.write();
    return made.key;
  }
  static HttpRequest request_with(const Headers& headers) {
    HttpRequest request;
    request.headers = headers;
    return request;
  }
  static int status_of(const Access& access, const Headers& headers) {
    try {
      access.authenticate(request_with(headers));
      return 200;
    } catch (const ApiError& error) {
      return error.status;
    }
  }

  std::string folder_;
  AccessOptions options_;
};

TEST_F(AccessTest, WithoutKeysEverybodyIsLocal) {
  const Access access(options_);
  EXPECT_FALSE(access.needs_key());
  EXPECT_EQ(access.authenticate(request_with({}))->id, "local");
}

TEST_F(AccessTest, NeedsAKeyWhenToldSoEvenIfThereIsNone) {
  options_.needs_key = true;
  const Access access(options_);
  EXPECT_EQ(status_of(access, {}), 401);
  EXPECT_EQ(status_of(access, {{"x-api-key", ""}}), 401);
}

TEST_F(AccessTest, TakesPlainKeysFromAFile) {
  options_.plain_keys_path = folder_ + "/plain";
  std::ofstream(options_.plain_keys_path) << "# mine\n  \nsecret \n";
  const Access access(options_);
  EXPECT_EQ(status_of(access, {{"x-api-key", "secret"}}), 200);
  EXPECT_EQ(status_of(access, {{"x-api-key", "# mine"}}), 401);
  EXPECT_EQ(status_of(access, {}), 401);
}

TEST_F(AccessTest, ADamagedFileOpensNoDoor) {
  std::ofstream(options_.keys_path) << "{\"keys\":[{\"id\":\"key_1\"}]}";
  EXPECT_THROW(Access{options_}, Error);
  EXPECT_THROW(add_key("x"), Error);  // and is not written over
  std::ofstream(options_.keys_path) << "{\"keys\":[{\"id\":\"key_1\",\"sha256\":\""
                                    << sha256_hex("k") << "\",\"revoked\":\"no\"}]}";
  EXPECT_EQ(status_of(Access(options_), {{"x-api-key", "k"}}), 401);
}

TEST_F(AccessTest, RefreshTakesChangesAndKeepsWhatItHasWhenTheFileBreaks) {
  const std::string key = add_key("a");
  Access access(options_);
  EXPECT_EQ(status_of(access, {{"x-api-key", key}}), 200);
  std::ofstream(options_.keys_path) << "broken";
  access.refresh();
  EXPECT_EQ(status_of(access, {{"x-api-key", key}}), 200);
  std::ofstream(options_.keys_path) << "{\"keys\":[]}";
  access.refresh();
  EXPECT_EQ(status_of(access, {{"x-api-key", key}}), 401);
  EXPECT_TRUE(access.needs_key());
}

TEST_F(AccessTest, CountsConcurrencyRateAndTokens) {
  Access access(options_);
  Caller caller{"key_1", "s", {}};
  const auto status = [&] {
    try {
      access.admit(caller);
      return 200;
    } catch (const ApiError& error) {
      return error.status;
    }
  };
  caller.limits.concurrent = 1;
  {
    const auto ticket = access.admit(caller);
    EXPECT_EQ(status(), 429);
  }
  EXPECT_EQ(status(), 200);
  caller.limits = {};
  caller.limits.tokens = 10;
  EXPECT_EQ(access.tokens_left(caller), 10);
  access.admit(caller)->use(9);
  EXPECT_EQ(status(), 200);
  access.admit(caller)->use(9);
  EXPECT_EQ(access.tokens_left(caller), 0);
  EXPECT_EQ(status(), 402);
  caller = {"key_2", "s", {}};
  caller.limits.requests_per_minute = 3;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(status(), 200);
  EXPECT_EQ(status(), 429);
}

TEST_F(AccessTest, CacheOwnersDifferByKeyAndUser) {
  const Caller a{"a", "secret a", {}}, b{"b", "secret b", {}};
  EXPECT_EQ(cache_owner(a, "u"), cache_owner(a, "u"));
  EXPECT_NE(cache_owner(a, "u"), cache_owner(b, "u"));
  EXPECT_NE(cache_owner(a, "u"), cache_owner(a, "v"));
  EXPECT_NE(cache_owner(a, ""), 0u);
}

TEST(HostPolicy, AddressesAndOwnNamesAreAllowed) {
  const HostPolicy policy{{"my.example"}, {}};
  for (const char* host : {"localhost", "LOCALHOST:1", "app.localhost", "127.0.0.1:80", "10.1.2.3",
                           "[::1]:8080", "my.example:443"})
    EXPECT_TRUE(host_allowed(policy, host)) << host;
  for (const char* host : {"", "evil.example", "my.example.evil", "127.0.0.1.evil", "[evil]", "[",
                           "1.2.3", "my.example@evil"})
    EXPECT_FALSE(host_allowed(policy, host)) << host;
}

TEST(HostPolicy, LoopbackAddresses) {
  EXPECT_TRUE(is_loopback("127.0.0.1"));
  EXPECT_TRUE(is_loopback("::1"));
  EXPECT_FALSE(is_loopback("0.0.0.0"));
  EXPECT_FALSE(is_loopback("::"));
  EXPECT_FALSE(is_loopback("192.168.1.1"));
}

}  // namespace
}  // namespace hadal::server
