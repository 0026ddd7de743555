// Generators are pure functions, hold out what they must, and make no mistakes: every answer and
// every step of every thought is computed again.
#include "data/generators.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "data/arithmetic_trace.h"

namespace hadal::data {
namespace {

constexpr uint64_t kProblems = 10000;

const std::string& question_of(const Problem& problem) {
  return problem.dialogue.messages.front().content;
}
const std::string& thought_of(const Problem& problem) {
  return problem.dialogue.messages.back().reasoning_content;
}
const std::string& reply_of(const Problem& problem) {
  return problem.dialogue.messages.back().content;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> numbers_of(const std::string& text) {
  static const std::regex number("[0-9]+");
  return {std::sregex_token_iterator(text.begin(), text.end(), number), {}};
}

// The value of a line's right or left side: products before sums, from left to right.
int64_t value_of(const std::string& side) {
  int64_t sum = 0, product = 1, sign = 1;
  size_t at = 0;
  if (at < side.size() && side[at] == '-') {
    sign = -1;
    ++at;
  }
  while (at < side.size()) {
    int64_t n = 0;
    const auto read = std::from_chars(side.data() + at, side.data() + side.size(), n);
    EXPECT_NE(read.ptr, side.data() + at) << side;
    if (read.ptr == side.data() + at) return -1;
    product *= n;
    at = static_cast<size_t>(read.ptr - side.data());
    if (at < side.size() && side[at] == '/') {
      int64_t divisor = 0;
      const auto next = std::from_chars(side.data() + at + 1, side.data() + side.size(), divisor);
      EXPECT_EQ(product % divisor, 0) << side;
      product /= divisor;
      at = static_cast<size_t>(next.ptr - side.data());
    }
    if (at < side.size() && side[at] == '*') {
      ++at;
      continue;
    }
    sum += sign * product;
    product = 1;
    sign = at < side.size() && side[at] == '-' ? -1 : 1;
    ++at;
  }
  return sum;
}

// Every equation and comparison of a line holds. "A8*5=40,+3+0=43" goes on from 40.
void expect_true(std::string line) {
  static const std::regex onward("=([0-9]+),\\+");
  line = std::regex_replace(line, onward, "=$1,$1+");
  static const std::regex chain("[-0-9+*/]+(=[-0-9+*/]+)+");
  for (std::sregex_iterator it(line.begin(), line.end(), chain), end; it != end; ++it) {
    std::istringstream sides(it->str());
    std::string first, side;
    std::getline(sides, first, '=');
    while (std::getline(sides, side, '=')) EXPECT_EQ(value_of(first), value_of(side)) << line;
  }
  static const std::regex comparison("^[A-Z]([0-9])([<=>])([0-9])$");
  std::smatch found;
  if (std::regex_match(line, found, comparison)) {
    const int a = std::stoi(found[1]), b = std::stoi(found[3]);
    const char sign = *found[2].first;
    EXPECT_EQ(sign, a < b ? '<' : a > b ? '>' : '=') << line;
  }
}

// All lines of a thought hold, but those that are taken back, which don't.
void expect_true_thought(const std::string& thought) {
  const std::vector<std::string> lines = lines_of(thought);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!lines[i].ends_with(" no")) {
      expect_true(lines[i]);
      continue;
    }
    const std::string wrong = lines[i].substr(0, lines[i].size() - 3);
    ASSERT_LT(i + 1, lines.size());
    EXPECT_EQ(wrong.substr(0, wrong.size() - 1), lines[i + 1].substr(0, lines[i + 1].size() - 1));
    EXPECT_NE(wrong.back(), lines[i + 1].back());
  }
}

// "=E0D5C7B0A3" as a number; "=-D2C1" negative.
int64_t last_line_value(const std::string& thought) {
  const std::string last = lines_of(thought).back();
  std::string digits;
  for (const char c : last.substr(0, last.find(" r"))) {
    if (c == '-' || (c >= '0' && c <= '9')) digits += c;
  }
  return std::stoll(digits);
}

// The labelled digits of each step, by label: what the last line must repeat.
void expect_arithmetic(const Problem& problem, const std::string& name) {
  const std::vector<std::string> numbers = numbers_of(problem.canonical);
  ASSERT_EQ(numbers.size(), 2u);
  int64_t a = std::stoll(numbers[0]), b = std::stoll(numbers[1]);
  std::string expected;
  if (name == "add") expected = std::to_string(a + b);
  if (name == "subtract") expected = std::to_string(a - b);
  if (name == "multiply") expected = std::to_string(a * b);
  if (name == "divide") expected = std::to_string(a / b);
  if (name == "divide" && a % b != 0) expected += " remainder " + std::to_string(a % b);
  EXPECT_EQ(problem.answer, expected);
  EXPECT_TRUE(reply_of(problem) == expected || reply_of(problem).ends_with(" = " + expected))
      << reply_of(problem);
  const std::string& thought = thought_of(problem);
  if (thought.empty()) return;
  expect_true_thought(thought);
  EXPECT_EQ(last_line_value(thought), name == "divide" ? a / b : std::stoll(expected)) << thought;
  const std::string rest = name == "divide" ? " r" + std::to_string(a % b) : "";
  EXPECT_TRUE(thought.ends_with(rest)) << thought;
}

TEST(Arithmetic, ComputesEveryStepRightly) {
  for (const std::string name : {"add", "subtract", "multiply", "divide"}) {
    const Generator& generator = find_generator(name);
    int slips = 0, thoughts = 0;
    for (uint64_t i = 0; i < kProblems; ++i) {
      const Problem problem = generate(generator, 7, i, Part::all);
      expect_arithmetic(problem, name);
      thoughts += thought_of(problem).empty() ? 0 : 1;
      slips += thought_of(problem).find(" no\n") != std::string::npos ? 1 : 0;
      if (::testing::Test::HasFailure()) FAIL() << name << " " << i << "\n" << thought_of(problem);
    }
    EXPECT_GT(thoughts, static_cast<int>(kProblems) * 8 / 10) << name;
    EXPECT_NEAR(slips, thoughts / 20, thoughts / 40) << name;
  }
}

// Rebuilds a sum's thought line by line from its own labelled digits, as a reader would.
TEST(Arithmetic, StepsFollowFromTheLinesBefore) {
  Draw draw(3, 0, 0);
  for (int i = 0; i < 10000; ++i) {
    const auto digits = [&] { return static_cast<int>(draw.between(1, 8)); };
    const Problem problem = arithmetic_problem(Operation::add, digits(), digits(), draw);
    const std::vector<std::string> lines = lines_of(thought_of(problem));
    std::map<char, int> digit;
    for (size_t c = 0; c + 1 < lines[0].size(); ++c) {
      if (std::isalpha(static_cast<unsigned char>(lines[0][c])) != 0) {
        digit[lines[0][c]] = lines[0][c + 1] - '0';
      }
    }
    std::string written;
    int carry = 0;
    for (size_t l = 1; l + 1 < lines.size(); ++l) {
      const char label = static_cast<char>('A' + l - 1);
      const int sum = digit[label] + digit[static_cast<char>(label + 32)] + carry;
      EXPECT_EQ(lines[l], std::string(1, label) + std::to_string(digit[label]) + "+" +
                              std::to_string(digit[static_cast<char>(label + 32)]) + "+" +
                              std::to_string(carry) + "=" + (sum < 10 ? "0" : "") +
                              std::to_string(sum));
      written = label + std::to_string(sum % 10) + written;
      carry = sum / 10;
    }
    const char top = static_cast<char>('A' + lines.size() - 2);
    EXPECT_EQ(lines.back(), "=" + std::string(1, top) + std::to_string(carry) + written);
  }
}

TEST(Arithmetic, WorksEdgesOut) {
  EXPECT_EQ(add_trace(4738, 965),
            "A8B3C7D4 a5b6c9d0\nA8+5+0=13\nB3+6+1=10\nC7+9+1=17\nD4+0+1=05\n=E0D5C7B0A3");
  EXPECT_EQ(subtract_trace(100, 1),
            "A0B0C1 a1b0c0\nC1>0\nA0-1-0=-10+9\nB0-0-1=-10+9\nC1-0-1=-00+0\n=C0B9A9");
  EXPECT_EQ(subtract_trace(3, 12), "A3B0 a2b1\nB0<1\nA2-3-0=-10+9\nB1-0-1=-00+0\n=-B0A9");
  EXPECT_EQ(subtract_trace(7, 7), "A7 a7\nA7=7\n=0");
  EXPECT_EQ(multiply_trace(38, 65),
            "A8B3 a5b6\na5\nA8*5=40,+0+0=40\nB3*5=15,+0+4=19\na0 A9B1\n"
            "b6\nA8*6=48,+9+0=57\nB3*6=18,+1+5=24\nb7 A4B2\n=B2A4b7a0");
  EXPECT_EQ(divide_trace(47, 3), "A4B7\nA4:1*3=3,4-3=1\nB17:5*3=15,17-15=2\n=A1B5 r2");
}

TEST(Compare, IsRight) {
  const Generator& generator = find_generator("compare");
  for (uint64_t i = 0; i < kProblems; ++i) {
    const Problem problem = generate(generator, 1, i, Part::all);
    const std::vector<std::string> numbers = numbers_of(problem.canonical);
    const int64_t small = std::stoll(numbers[0]), large = std::stoll(numbers[1]);
    static const std::regex for_large("larger|bigger|greater|more");
    const bool wants_large = std::regex_search(question_of(problem), for_large);
    EXPECT_EQ(problem.answer, std::to_string(wants_large ? large : small));
    EXPECT_EQ(answer_of(reply_of(problem)), problem.answer) << reply_of(problem);
    expect_true_thought(thought_of(problem));
  }
}

TEST(Words, AddUpFromTheStoryToTheReply) {
  const Generator& generator = find_generator("words");
  std::set<std::string> canonical;
  for (uint64_t i = 0; i < kProblems; ++i) {
    const Problem problem = generate(generator, 5, i, Part::all);
    const std::vector<std::string> lines = lines_of(thought_of(problem));
    EXPECT_GE(lines.size(), 2u);
    EXPECT_LE(lines.size(), 9u);
    expect_true_thought(thought_of(problem));
    EXPECT_EQ(numbers_of(lines.back()).back(), problem.answer);
    EXPECT_EQ(answer_of(reply_of(problem)), problem.answer) << reply_of(problem);
    // Each step takes numbers from the story or from steps before.
    std::multiset<std::string> known;
    for (const std::string& n : numbers_of(question_of(problem))) known.insert(n);
    for (const char* implied : {"2", "3", "4"}) known.insert(implied);  // twice, both ways
    for (const std::string& line : lines) {
      const std::vector<std::string> numbers = numbers_of(line);
      ASSERT_EQ(numbers.size(), 3u) << line;
      EXPECT_TRUE(known.contains(numbers[0]) && known.contains(numbers[1]))
          << question_of(problem) << "\n"
          << thought_of(problem);
      known.insert(numbers[2]);
      EXPECT_GE(std::stoll(numbers[2]), 0);
    }
    canonical.insert(problem.canonical);
    if (::testing::Test::HasFailure()) FAIL() << i << "\n" << question_of(problem);
  }
  EXPECT_GT(canonical.size(), kProblems * 9 / 10);
}

std::vector<std::string> items_of(const std::string& text, const std::string& between) {
  std::vector<std::string> items;
  size_t begin = 0;
  for (size_t at = text.find(between); at != std::string::npos; at = text.find(between, begin)) {
    items.push_back(text.substr(begin, at - begin));
    begin = at + between.size();
  }
  items.push_back(text.substr(begin));
  return items;
}

TEST(Skills, CountRightly) {
  const Generator& generator = find_generator("count");
  for (uint64_t i = 0; i < kProblems; ++i) {
    const Problem problem = generate(generator, 2, i, Part::all);
    const std::vector<std::string> parts = items_of(problem.canonical, " ");
    int64_t expected = 0;
    if (parts[0] == "letter") {
      expected = std::count(parts[2].begin(), parts[2].end(), parts[1][0]);
    } else if (parts[0] == "count") {
      const auto items = items_of(problem.canonical.substr(7 + parts[1].size()), ", ");
      expected = std::count(items.begin(), items.end(), parts[1]);
    } else if (parts.size() == 2) {
      expected = static_cast<int64_t>(parts[1].size());
    } else {
      expected = static_cast<int64_t>(parts.size()) - 1;
    }
    EXPECT_EQ(problem.answer, std::to_string(expected)) << problem.canonical;
    EXPECT_EQ(answer_of(reply_of(problem)), problem.answer) << reply_of(problem);
    EXPECT_EQ(numbers_of(lines_of(thought_of(problem)).back()).back(), problem.answer);
  }
}

TEST(Skills, SortRightly) {
  const Generator& generator = find_generator("sort");
  for (uint64_t i = 0; i < kProblems; ++i) {
    const Problem problem = generate(generator, 2, i, Part::all);
    const bool down = problem.canonical.starts_with("sort down ");
    auto items = items_of(problem.canonical.substr(down ? 10 : 8), ", ");
    if (numbers_of(problem.canonical).empty()) {
      std::sort(items.begin(), items.end());
    } else {
      std::sort(items.begin(), items.end(),
                [](const auto& a, const auto& b) { return std::stoi(a) < std::stoi(b); });
    }
    if (down) std::reverse(items.begin(), items.end());
    EXPECT_EQ(items_of(reply_of(problem), ", "), items);
    std::vector<std::string> taken;
    for (const std::string& line : lines_of(thought_of(problem))) {
      taken.push_back(line.substr(0, line.find(" | ")));
    }
    items.pop_back();
    EXPECT_EQ(taken, items);
  }
}

TEST(Skills, ReckonDatesRightly) {
  const Generator& generator = find_generator("date");
  const std::vector<std::string> days = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                         "Friday", "Saturday", "Sunday"};
  const std::map<std::string, int> before = {
      {"January", 0},     {"February", 31}, {"March", 59},     {"April", 90},
      {"May", 120},       {"June", 151},    {"July", 181},     {"August", 212},
      {"September", 243}, {"October", 273}, {"November", 304}, {"December", 334}};
  for (uint64_t i = 0; i < kProblems; ++i) {
    const Problem problem = generate(generator, 2, i, Part::all);
    const std::vector<std::string> parts = items_of(problem.canonical, " ");
    if (parts[0] == "weekday") {
      const auto start = std::find(days.begin(), days.end(), parts[1]) - days.begin();
      const int64_t by = std::stoll(parts[2]);  // with its sign
      EXPECT_EQ(problem.answer, days[static_cast<size_t>((start + by + 70) % 7)]);
      EXPECT_EQ(reply_of(problem), "It is a " + problem.answer + ".");
    } else if (parts[0] == "date") {
      const int day = (before.at(parts[1]) + std::stoi(parts[2]) + std::stoi(parts[3])) % 365;
      const std::vector<std::string> words = items_of(reply_of(problem), " ");
      ASSERT_EQ(words.size(), 4u);
      EXPECT_EQ((before.at(words[2]) + std::stoi(words[3])) % 365, day) << reply_of(problem);
    }
    expect_true_thought(thought_of(problem));
  }
}

TEST(Skills, WriteTextRightly) {
  const Generator& generator = find_generator("text");
  for (uint64_t i = 0; i < kProblems; ++i) {
    const Problem problem = generate(generator, 2, i, Part::all);
    std::vector<std::string> parts = items_of(problem.canonical, " ");
    const std::string& reply = reply_of(problem);
    if (parts[0] == "spell") {
      std::string joined;
      for (const std::string& letter : items_of(reply, "-")) joined += letter;
      EXPECT_EQ(joined, parts[1]);
    } else if (parts[0] == "reverse") {
      EXPECT_EQ(reply, std::string(parts[1].rbegin(), parts[1].rend()));
    } else if (parts[0] == "repeat") {
      EXPECT_TRUE(question_of(problem).ends_with(": " + reply));
    } else if (parts[1] == "letter") {
      const char wanted = parts[0] == "first" ? parts[2].front() : parts[2].back();
      EXPECT_EQ(reply[reply.size() - 2], wanted) << reply;
    } else {
      EXPECT_EQ(parts[1], "of");
      EXPECT_TRUE(reply.ends_with(" " + problem.answer + "."));
    }
  }
}

// A second reading of the stories with a question about a place.
TEST(Stories, KnowWhereThingsAre) {
  const Generator& generator = find_generator("story");
  int asked = 0;
  for (uint64_t i = 0; i < kProblems; ++i) {
    const Problem problem = generate(generator, 2, i, Part::all);
    const std::string& text = question_of(problem);
    const size_t ask = text.find("Where is ");
    if (ask == std::string::npos || problem.answer.empty()) continue;
    ++asked;
    std::map<std::string, std::string> room, holder, place;
    for (std::string sentence : items_of(text.substr(0, ask), ". ")) {
      if (sentence.starts_with("Then ")) sentence = sentence.substr(5);
      const std::string who = sentence.substr(0, sentence.find(' '));
      const auto behind = [&](const std::string& what) {
        const size_t at = sentence.find(what);
        return at == std::string::npos ? "" : sentence.substr(at + what.size());
      };
      if (const std::string to = behind(" to the "); !to.empty()) room[who] = to;
      if (const std::string it = behind(" takes the "); !it.empty()) holder[it] = who;
      if (const std::string it = behind(" puts down the "); !it.empty()) {
        EXPECT_EQ(holder[it], who);
        holder.erase(it);
        place[it] = room[who];
      }
    }
    const std::string what = text.substr(ask + 9, text.size() - ask - 10);
    std::string expected = room[what];
    if (what.starts_with("the ")) {
      const std::string thing = what.substr(4);
      expected = holder.contains(thing) ? room[holder[thing]] : place[thing];
    }
    EXPECT_TRUE(reply_of(problem).ends_with(" in the " + expected + ".")) << text << "\n"
                                                                          << reply_of(problem);
  }
  EXPECT_GT(asked, static_cast<int>(kProblems) / 3);
}

TEST(Generators, ArePureAndSound) {
  for (const Generator& generator : generators()) {
    std::set<std::string> questions;
    for (uint64_t i = 0; i < 500; ++i) {
      const Problem a = generate(generator, 9, i, Part::train);
      const Problem b = generate(generator, 9, i, Part::train);
      ASSERT_EQ(a.canonical, b.canonical);
      ASSERT_EQ(a.dialogue.messages.size(), b.dialogue.messages.size());
      ASSERT_EQ(reply_of(a), reply_of(b));
      ASSERT_EQ(thought_of(a), thought_of(b));
      ASSERT_EQ(a.dialogue.messages.size() % 2, 0u);
      for (const auto& message : a.dialogue.messages) {
        EXPECT_FALSE(message.content.empty());
        EXPECT_EQ(message.content.find("{"), std::string::npos) << message.content;
      }
      questions.insert(a.canonical);
    }
    EXPECT_GT(questions.size(), 20u) << generator.name;
  }
}

TEST(Generators, TrainOnNothingThatIsHeldOut) {
  for (const std::string name : {"add", "subtract", "multiply", "divide", "compare", "words"}) {
    const Generator& generator = find_generator(name);
    int held_out = 0;
    for (uint64_t i = 0; i < 20000; ++i) {
      EXPECT_FALSE(is_held_out(generate(generator, 100 + i % 3, i, Part::train)));
      held_out += is_held_out(generate(generator, 100, i, Part::all)) ? 1 : 0;
    }
    EXPECT_NEAR(held_out, 200, 180) << name;  // few problems of one digit, drawn often
    for (uint64_t i = 0; i < 50; ++i) {
      EXPECT_TRUE(is_held_out(generate(generator, 4, i, Part::held_out)));
    }
  }
  bool found = false;
  const Problem cell = arithmetic_cell(Operation::add, 4, 3, 1, 0, Part::held_out, &found);
  EXPECT_TRUE(found);
  EXPECT_TRUE(is_held_out(cell));
  std::set<std::string> sums;  // 1 + 1 digits: 55 sums, hardly one of them held out
  for (uint64_t i = 0; i < 20; ++i) {
    const Problem small = arithmetic_cell(Operation::add, 1, 1, 1, i, Part::held_out, &found);
    if (found) sums.insert(small.canonical);
  }
  EXPECT_LT(sums.size(), 5u);
}

TEST(Generators, AcceptTheirOwnRepliesAlone) {
  for (const Generator& generator : generators()) {
    for (uint64_t i = 0; i < 2000; ++i) {
      const Problem problem = generate(generator, 3, i, Part::all);
      if (problem.answer.empty()) continue;
      EXPECT_TRUE(is_right(problem, reply_of(problem)))
          << generator.name << ": " << reply_of(problem) << " for " << problem.answer;
      EXPECT_FALSE(is_right(problem, "I don't know."));
      EXPECT_FALSE(is_right(problem, ""));
    }
  }
  const Problem sum{"1+14", "15", {}}, rest{"47/3", "15 remainder 2", {}};
  EXPECT_FALSE(is_right(sum, "115"));
  EXPECT_FALSE(is_right(sum, "-15"));
  EXPECT_TRUE(is_right(sum, "It is 15."));
  EXPECT_FALSE(is_right(rest, "115 remainder 2"));
  EXPECT_FALSE(is_right(rest, "15"));
  EXPECT_TRUE(is_right(rest, "47 / 3 = 15 remainder 2."));
}

TEST(Generators, FindTheAnswerInAReply) {
  EXPECT_EQ(answer_of("4,738 + 965 = 5,703."), "5703");
  EXPECT_EQ(answer_of("-12"), "-12");
  EXPECT_EQ(answer_of("5-3"), "3");
  EXPECT_EQ(answer_of("Anna has 7 apples now."), "7");
  EXPECT_EQ(answer_of("It is a Friday."), "friday");
  EXPECT_EQ(answer_of(""), "");
}

}  // namespace
}  // namespace hadal::data
