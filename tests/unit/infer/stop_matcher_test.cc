#include "infer/stop_matcher.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "infer/reasoning.h"

namespace hadal::infer {
namespace {

struct Outcome {
  std::string shown;
  int stop;
};

// Feeds the text in the given pieces; what is safe may only grow.
Outcome feed(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopMatcher matcher(stops);
  std::string text;
  size_t safe = 0;
  for (const std::string& piece : pieces) {
    text += piece;
    const StopMatcher::Result result = matcher.push(piece);
    EXPECT_GE(result.safe, safe) << "shown text was taken back";
    EXPECT_LE(result.safe, text.size());
    safe = result.safe;
    if (result.stop >= 0) return {text.substr(0, safe), result.stop};
  }
  return {text, -1};
}

TEST(StopMatcher, FindsStopsAcrossTokens) {
  const Outcome o = feed({"###"}, {"Hello", "#", "", "#", "#tail"});
  EXPECT_EQ(o.shown, "Hello");
  EXPECT_EQ(o.stop, 0);
}

TEST(StopMatcher, HoldsBackOnlyWhatCouldBecomeAStop) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.push("the E").safe, 4u);
  EXPECT_EQ(matcher.push("N").safe, 4u);
  EXPECT_EQ(matcher.push("ENT").safe, 9u);
  EXPECT_EQ(matcher.push("E").safe, 9u);
}

TEST(StopMatcher, TheMatchThatIsCompleteFirstWins) {
  EXPECT_EQ(feed({"xabc", "ab"}, {"..xabc"}).shown, "..x");
  EXPECT_EQ(feed({"b", "ab"}, {"..ab"}).shown, "..");
  EXPECT_EQ(feed({"b", "ab"}, {"..ab"}).stop, 1);
}

TEST(StopMatcher, NoStopReachesAcrossASpecialToken) {
  StopMatcher matcher({"abc"});
  EXPECT_EQ(matcher.push("xab").safe, 1u);
  matcher.skip(0);
  const StopMatcher::Result released = matcher.push("");
  EXPECT_EQ(released.safe, 3u);
  EXPECT_EQ(matcher.push("c").stop, -1);
  EXPECT_EQ(matcher.push("abc").stop, 0);
}

TEST(StopMatcher, WithoutStopsEverythingIsSafe) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.push("abc").safe, 3u);
  EXPECT_EQ(matcher.push("d").safe, 4u);
}

// Whatever the cut into tokens, the outcome is that of a plain search.
TEST(StopMatcher, SameOutcomeHoweverTheTextIsCut) {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    uint64_t counter = 0;
    const auto below = [&](size_t n) {
      return static_cast<size_t>(random_uniform(seed, 0, counter++) * static_cast<double>(n));
    };
    const auto word = [&](size_t most) {
      std::string w(1 + below(most), 'a');
      for (char& c : w) c = static_cast<char>('a' + below(2));
      return w;
    };
    std::vector<std::string> stops;
    for (size_t i = 0; i < 1 + below(3); ++i) stops.push_back(word(6));
    const std::string text = word(30);
    std::string expected = text;
    for (size_t end = 1; end <= text.size() && expected == text; ++end)
      for (const std::string& stop : stops)
        if (std::string_view(text).substr(0, end).ends_with(stop))
          expected = std::min(expected, text.substr(0, end - stop.size()),
                              [](const auto& a, const auto& b) { return a.size() < b.size(); });
    std::vector<std::string> pieces;
    for (size_t at = 0; at < text.size();) {
      const size_t n = below(4);
      pieces.push_back(text.substr(at, n));
      at += n;
    }
    EXPECT_EQ(feed(stops, pieces).shown, expected) << "seed " << seed;
  }
}

TEST(ReasoningTracker, CountsByIdAndKnowsTheBudget) {
  Thinking thinking;
  thinking.starts_inside = true;
  thinking.open_id = 1;
  thinking.close_id = 2;
  thinking.budget = 3;
  ReasoningTracker tracker(thinking);
  EXPECT_TRUE(tracker.push(10, "a"));
  EXPECT_TRUE(tracker.push(11, "</think>")) << "spelt text is no marker where there is a token";
  EXPECT_FALSE(tracker.budget_spent());
  EXPECT_TRUE(tracker.push(12, "c"));
  EXPECT_TRUE(tracker.budget_spent());
  EXPECT_FALSE(tracker.push(2, "</think>"));
  EXPECT_FALSE(tracker.budget_spent());
  EXPECT_FALSE(tracker.push(13, "d"));
  EXPECT_FALSE(tracker.push(1, "<think>"));
  EXPECT_TRUE(tracker.inside());
  EXPECT_EQ(tracker.tokens(), 3);
}

TEST(ReasoningTracker, FindsSpeltMarkersAcrossTokens) {
  Thinking thinking;
  thinking.open_text = "<think>";
  thinking.close_text = "</think>";
  ReasoningTracker tracker(thinking);
  tracker.push(1, "<thi");
  EXPECT_FALSE(tracker.inside());
  tracker.push(2, "nk>\n");
  EXPECT_TRUE(tracker.inside());
  EXPECT_TRUE(tracker.push(3, "hm, <think> again"));
  tracker.push(4, "</");
  EXPECT_TRUE(tracker.inside());
  tracker.push(5, "think>");
  EXPECT_FALSE(tracker.inside());
}

TEST(ReasoningTracker, WithoutMarkersThereIsNoThought) {
  ReasoningTracker tracker(Thinking{});
  EXPECT_FALSE(tracker.push(5, "text"));
  EXPECT_EQ(tracker.tokens(), 0);
}

}  // namespace
}  // namespace hadal::infer
