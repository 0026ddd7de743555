// Names and things that generated texts speak of.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace hadal::data {

struct Person {
  std::string_view name, he, his, him;
};
struct Thing {
  std::string_view one, many;
};

std::span<const Person> people();
std::span<const Thing> things();                  // to own, buy and give away
std::span<const std::string_view> plain_words();  // short, common, lower case
std::span<const std::string_view> places();       // behind "in the" or "to the"
std::span<const std::string_view> containers();   // "box", "basket": plural by s or es

// "apple" or "apples".
std::string_view named(const Thing& thing, int64_t count);

}  // namespace hadal::data
