#include "cli/suggest.h"

#include <gtest/gtest.h>

namespace hadal::cli {
namespace {

TEST(Suggest, CountsEdits) {
  EXPECT_EQ(edit_distance("", ""), 0);
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("rnu", "run"), 1);  // a swap
}

TEST(Suggest, NamesOnlyWhatIsNear) {
  const std::vector<std::string> names = {"run", "convert", "quantize"};
  EXPECT_EQ(nearest("rnu", names), "run");
  EXPECT_EQ(nearest("quantise", names), "quantize");
  EXPECT_EQ(nearest("frobnicate", names), "");
  EXPECT_EQ(did_you_mean("conver", names), " (did you mean 'convert'?)");
  EXPECT_EQ(did_you_mean("xyzzy", names), "");
}

TEST(Suggest, IgnoresHugeWords) {
  EXPECT_EQ(nearest(std::string(1 << 20, 'x'), {"run"}), "");
}

}  // namespace
}  // namespace hadal::cli
