#include "base/error.h"

#include <gtest/gtest.h>

namespace hadal {
namespace {

TEST(Error, CarriesKindAndMessage) {
  try {
    fail(ErrorKind::format, "{}: {} bytes, expected {}", "a.gguf", 3, 4);
    FAIL() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::format);
    EXPECT_STREQ(error.what(), "a.gguf: 3 bytes, expected 4");
  }
}

TEST(ErrorDeathTest, FailedCheckSaysWhatAndWhere) {
  const int rows = 3;
  HADAL_CHECK(rows == 3, "not printed");
  EXPECT_DEATH(HADAL_CHECK(rows == 4, "rows {}", rows),
               "rows == 4.*error_test.cc.*rows 3|"
               "error_test.cc.*rows == 4.*rows 3");
}

}  // namespace
}  // namespace hadal
