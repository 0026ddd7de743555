#include "cli/progress.h"

#include <gtest/gtest.h>

#include "cli/human.h"

namespace hadal::cli {
namespace {

TEST(Human, Bytes) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.0 KiB");
  EXPECT_EQ(format_bytes(5.1 * 1024 * 1024), "5.1 MiB");
  EXPECT_EQ(format_bytes(250.0 * 1024 * 1024 * 1024), "250 GiB");
}

TEST(Human, CountsAndDurations) {
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(15.7e9), "15.7 B");
  EXPECT_EQ(format_duration(0.42), "0.4 s");
  EXPECT_EQ(format_duration(59), "59 s");
  EXPECT_EQ(format_duration(185), "3 min 05 s");
  EXPECT_EQ(format_duration(3720), "1 h 02 min");
  EXPECT_EQ(format_duration(-1), "?");
}

TEST(Progress, SaysShareRateAndRest) {
  const std::string line =
      format_progress("convert", 256 << 20, 1 << 30, ProgressUnit::bytes, 2.0, 100);
  EXPECT_EQ(line, "convert  25% [#######.......................] 256 MiB, 128 MiB/s, 6.0 s left");
}

TEST(Progress, FitsTheTerminal) {
  for (const int columns : {0, 1, 10, 20, 40, 60}) {
    const std::string line =
        format_progress("quantize", 1 << 20, 1 << 30, ProgressUnit::bytes, 1.0, columns);
    EXPECT_LE(line.size(), static_cast<size_t>(columns));
  }
}

TEST(Progress, NeverOverHundredPercent) {
  const std::string line = format_progress("x", 30, 20, ProgressUnit::items, 1.0, 80);
  EXPECT_NE(line.find("100%"), std::string::npos);
  EXPECT_EQ(line.find("left"), std::string::npos);
}

TEST(Progress, UnknownTotalOnlyCounts) {
  EXPECT_EQ(format_progress("read", 2000, 0, ProgressUnit::tokens, 2.0, 80),
            "read: 2.0 k tokens, 1.0 k tokens/s");
}

}  // namespace
}  // namespace hadal::cli
