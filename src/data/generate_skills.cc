// Small things that can be checked: counting, sorting, dates, letters.
#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "data/generators.h"
#include "data/vocabulary.h"

namespace hadal::data {
namespace {

// Different words, in the order drawn.
std::vector<std::string> draw_words(Draw& draw, int64_t count) {
  std::vector<std::string> words;
  while (static_cast<int64_t>(words.size()) < count) {
    std::string word(draw.pick(plain_words()));
    if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
  }
  return words;
}

template <typename List>
std::string joined(const List& items, std::string_view between) {
  std::string out;
  for (const auto& item : items) out += fmt::format("{}{}", out.empty() ? "" : between, item);
  return out;
}

// The letters of a word, one by one.
std::string spelt(const std::string& word, std::string_view between = " ") {
  return joined(word, between);
}

Problem count_letter(Draw& draw) {
  const std::string word(draw.pick(plain_words()));
  const char letter = draw.chance(85) ? draw.pick(word) : static_cast<char>('a' + draw.below(26));
  std::string thought;
  int64_t count = 0;
  for (const char c : word) {
    count += c == letter ? 1 : 0;
    thought += fmt::format("{}{} {}", thought.empty() ? "" : "\n", c, count);
  }
  const bool upper = draw.chance(20);
  const std::string shown(1, upper ? static_cast<char>(letter - 32) : letter);
  constexpr std::array<const char*, 3> forms = {"How many times does the letter {0} occur in {1}?",
                                                "How many {0}'s are in the word \"{1}\"?",
                                                "Count the letter {0} in {1}."};
  return {fmt::format("letter {} {}", letter, word), std::to_string(count),
          one_turn(fmt::format(fmt::runtime(draw.pick(forms)), shown, word), thought,
                   fmt::format("The letter {} occurs {} {} in \"{}\".", shown, count,
                               count == 1 ? "time" : "times", word))};
}

Problem count_things(Draw& draw) {
  const int64_t kinds = draw.between(2, 3), length = draw.between(4, 12);
  const std::vector<std::string> words = draw_words(draw, kinds);
  std::vector<std::string> list;
  for (int64_t i = 0; i < length; ++i) list.push_back(draw.pick(words));
  const std::string& wanted = draw.pick(words);
  std::string thought;
  int64_t count = 0;
  for (const std::string& word : list) {
    count += word == wanted ? 1 : 0;
    thought += fmt::format("{}{} {}", thought.empty() ? "" : "\n", word, count);
  }
  const std::string text = joined(list, ", ");
  return {
      fmt::format("count {} {}", wanted, text), std::to_string(count),
      one_turn(fmt::format("How often does \"{}\" stand in this list? {}", wanted, text), thought,
               fmt::format("It stands there {} {}.", count, count == 1 ? "time" : "times"))};
}

Problem count_length(Draw& draw) {
  const bool letters = draw.chance(50);
  const std::string word(draw.pick(plain_words()));
  const std::vector<std::string> list =
      letters ? std::vector<std::string>() : draw_words(draw, draw.between(3, 10));
  std::string thought;
  int64_t count = 0;
  const auto line = [&](const auto& item) {
    thought += fmt::format("{}{} {}", thought.empty() ? "" : "\n", item, ++count);
  };
  if (letters) {
    for (const char c : word) line(c);
  } else {
    for (const std::string& item : list) line(item);
  }
  const std::string what = letters ? word : joined(list, ", ");
  const std::string question = letters ? fmt::format("How many letters has the word \"{}\"?", word)
                                       : fmt::format("How many words are in this list? {}", what);
  return {"length " + what, std::to_string(count),
          one_turn(question, thought,
                   letters ? fmt::format("\"{}\" has {} letters.", word, count)
                           : fmt::format("There are {} words in the list.", count))};
}

constexpr std::array<std::string_view, 7> kDays = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                                   "Friday", "Saturday", "Sunday"};
struct Month {
  std::string_view name;
  int64_t days;
};
constexpr std::array<Month, 12> kMonths = {{{"January", 31},
                                            {"February", 28},
                                            {"March", 31},
                                            {"April", 30},
                                            {"May", 31},
                                            {"June", 30},
                                            {"July", 31},
                                            {"August", 31},
                                            {"September", 30},
                                            {"October", 31},
                                            {"November", 30},
                                            {"December", 31}}};

Problem weekday_after(Draw& draw) {
  const int64_t start = draw.below(7), count = draw.between(1, 30);
  const bool back = draw.chance(25);
  const int64_t rest = count % 7;
  const int64_t end = (start + (back ? 7 - rest : rest)) % 7;
  std::string thought =
      fmt::format("{}=7*{}+{}\n{}", count, count / 7, rest, kDays[static_cast<size_t>(start)]);
  for (int64_t i = 1; i <= rest; ++i) {
    const int64_t day = (start + (back ? 7 - i : i)) % 7;
    thought += fmt::format("\n{} {}", i, kDays[static_cast<size_t>(day)]);
  }
  const std::string_view day = kDays[static_cast<size_t>(start)];
  const std::string_view result = kDays[static_cast<size_t>(end)];
  return {fmt::format("weekday {} {}{}", day, back ? '-' : '+', count), std::string(result),
          one_turn(fmt::format("What day is {} {} {} {}?", count, count == 1 ? "day" : "days",
                               back ? "before" : "after", day),
                   thought, fmt::format("It is a {}.", result))};
}

Problem date_after(Draw& draw) {
  auto month = static_cast<size_t>(draw.below(12));
  const int64_t start = draw.between(1, kMonths[month].days), count = draw.between(1, 40);
  const std::string from = fmt::format("{} {}", kMonths[month].name, start);
  int64_t day = start + count;
  std::string thought = fmt::format("{}+{}={}", start, count, day);
  while (day > kMonths[month].days) {
    thought += fmt::format("\n{} has {}: {}-{}={}", kMonths[month].name, kMonths[month].days, day,
                           kMonths[month].days, day - kMonths[month].days);
    day -= kMonths[month].days;
    month = (month + 1) % 12;
  }
  thought += fmt::format("\n{}", kMonths[month].name);
  return {fmt::format("date {} +{}", from, count), std::to_string(day),
          one_turn(fmt::format("What date is {} {} after {}, in a year that is no leap year?",
                               count, count == 1 ? "day" : "days", from),
                   thought, fmt::format("It is {} {}.", kMonths[month].name, day))};
}

Problem month_fact(Draw& draw) {
  const auto month = static_cast<size_t>(draw.below(12));
  const std::string_view name = kMonths[month].name;
  switch (draw.below(3)) {
    case 0:
      return {fmt::format("month days {}", name), std::to_string(kMonths[month].days),
              one_turn(fmt::format("How many days are in {}?", name), "",
                       month == 1 ? "February has 28 days, and one more in a leap year."
                                  : fmt::format("{} has {} days.", name, kMonths[month].days))};
    case 1: {
      const std::string_view next = kMonths[(month + 1) % 12].name;
      return {fmt::format("month after {}", name), std::string(next),
              one_turn(fmt::format("Which month comes after {}?", name), "",
                       fmt::format("After {} comes {}.", name, next))};
    }
    default: {
      const auto day = static_cast<size_t>(draw.below(7));
      const std::string_view next = kDays[(day + 1) % 7];
      return {fmt::format("day after {}", kDays[day]), std::string(next),
              one_turn(fmt::format("Which day comes after {}?", kDays[day]), "",
                       fmt::format("After {} comes {}.", kDays[day], next))};
    }
  }
}

}  // namespace

Problem make_count(Draw& draw) {
  switch (draw.below(3)) {
    case 0:
      return count_letter(draw);
    case 1:
      return count_things(draw);
    default:
      return count_length(draw);
  }
}

Problem make_sort(Draw& draw) {
  const int64_t count = draw.between(3, 7);
  const bool down = draw.chance(25);
  std::string text, sorted, thought;
  const auto work = [&](auto items) {
    text = joined(items, ", ");
    auto rest = items;
    std::sort(items.begin(), items.end());
    if (down) std::reverse(items.begin(), items.end());
    sorted = joined(items, ", ");
    for (const auto& item : items) {  // take the next one out of what is left
      rest.erase(std::find(rest.begin(), rest.end(), item));
      if (rest.empty()) break;
      thought += fmt::format("{}{} | {}", thought.empty() ? "" : "\n", item, joined(rest, " "));
    }
  };
  const bool numbers = draw.chance(60);
  if (numbers) {
    const int64_t largest = draw.chance(50) ? 99 : 999;
    std::vector<int64_t> items;
    while (static_cast<int64_t>(items.size()) < count) {
      const int64_t n = draw.below(largest + 1);
      if (std::find(items.begin(), items.end(), n) == items.end()) items.push_back(n);
    }
    work(items);
  } else {
    work(draw_words(draw, count));
  }
  const std::string question =
      numbers ? fmt::format("Sort these numbers from {}: {}",
                            down ? "large to small" : "small to large", text)
              : fmt::format("Put these words in {} order: {}",
                            down ? "reverse alphabetical" : "alphabetical", text);
  return {fmt::format("sort {} {}", down ? "down" : "up", text), sorted,
          one_turn(question, thought, sorted)};
}

Problem make_date(Draw& draw) {
  const int64_t kind = draw.below(10);
  if (kind < 5) return weekday_after(draw);
  return kind < 9 ? date_after(draw) : month_fact(draw);
}

Problem make_text(Draw& draw) {
  const std::string word(draw.pick(plain_words()));
  const std::string backwards(word.rbegin(), word.rend());
  switch (draw.below(5)) {
    case 0:
      return {"spell " + word, spelt(word, "-"),
              one_turn(fmt::format("How do you spell {}?", word), "", spelt(word, "-"))};
    case 1:
      return {"reverse " + word, backwards,
              one_turn(fmt::format("Write the word \"{}\" backwards.", word),
                       spelt(word) + "\n" + spelt(backwards), backwards)};
    case 2: {
      const bool first = draw.chance(50);
      const char letter = first ? word.front() : word.back();
      return {
          fmt::format("{} letter {}", first ? "first" : "last", word), std::string(1, letter),
          one_turn(fmt::format("What is the {} letter of \"{}\"?", first ? "first" : "last", word),
                   draw.chance(50) ? spelt(word) : "",
                   fmt::format("The {} letter of \"{}\" is {}.", first ? "first" : "last", word,
                               letter))};
    }
    case 3: {
      const std::vector<std::string> words = draw_words(draw, draw.between(3, 6));
      const auto at = static_cast<size_t>(draw.below(static_cast<int64_t>(words.size())));
      constexpr std::array<std::string_view, 6> ordinals = {"first",  "second", "third",
                                                            "fourth", "fifth",  "sixth"};
      const std::string list = joined(words, ", ");
      return {fmt::format("{} of {}", ordinals[at], list), words[at],
              one_turn(fmt::format("What is the {} word of this list? {}", ordinals[at], list), "",
                       fmt::format("The {} word is {}.", ordinals[at], words[at]))};
    }
    default: {
      const std::string list = joined(draw_words(draw, draw.between(2, 6)), " ");
      return {"repeat " + list, list, one_turn("Repeat after me: " + list, "", list)};
    }
  }
}

}  // namespace hadal::data
