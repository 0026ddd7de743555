// Two kinds of stories: a small world whose state is asked for at the end (after Weston et al.,
// arXiv 1502.05698), and children's stories to be told or continued.
#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "data/generators.h"
#include "data/vocabulary.h"

namespace hadal::data {
namespace {

// People walk about and carry things.
class World {
 public:
  explicit World(Draw& draw) : draw_(draw) {
    const auto first = static_cast<size_t>(draw.below(static_cast<int64_t>(people().size())));
    for (size_t i = 0; i < 3; ++i) who_[i] = people()[(first + i * 11) % people().size()].name;
    const auto room = static_cast<size_t>(draw.below(static_cast<int64_t>(places().size())));
    for (size_t i = 0; i < 4; ++i) where_[i] = places()[(room + i * 5) % places().size()];
    const auto thing = static_cast<size_t>(draw.below(30));
    for (size_t i = 0; i < 2; ++i) what_[i] = things()[(thing + i * 13) % things().size()].one;
  }

  void tell(int64_t events) {
    for (size_t i = 0; i < 3; ++i) go(i);
    for (int64_t i = 0; i < events; ++i) {
      const size_t person = static_cast<size_t>(draw_.below(3));
      const size_t thing = static_cast<size_t>(draw_.below(2));
      if (draw_.chance(45) || !handle(person, thing)) go(person);
    }
  }
  Problem ask() {
    const size_t thing = static_cast<size_t>(draw_.below(2));
    if (draw_.chance(50) && place_[thing] >= 0) {
      const std::string room(where_[static_cast<size_t>(place_of(thing))]);
      std::string thought;
      if (holder_[thing] >= 0) {
        thought = fmt::format("{} has the {}. {} is in the {}.", name(holder_[thing]), what_[thing],
                              name(holder_[thing]), room);
      } else {
        thought = fmt::format("The {} was left in the {}.", what_[thing], room);
      }
      return finish(fmt::format("Where is the {}?", what_[thing]), thought, room,
                    fmt::format("The {} is in the {}.", what_[thing], room));
    }
    const size_t person = static_cast<size_t>(draw_.below(3));
    const std::string room(where_[static_cast<size_t>(room_[person])]);
    return finish(fmt::format("Where is {}?", who_[person]),
                  fmt::format("{} went to the {} last.", who_[person], room), room,
                  fmt::format("{} is in the {}.", who_[person], room));
  }

 private:
  std::string_view name(int person) const { return who_[static_cast<size_t>(person)]; }
  int place_of(size_t thing) const {
    return holder_[thing] >= 0 ? room_[static_cast<size_t>(holder_[thing])] : place_[thing];
  }
  void say(const std::string& sentence) { text_ += (text_.empty() ? "" : " ") + sentence; }
  void go(size_t person) {
    int to = static_cast<int>(draw_.below(4));
    if (to == room_[person]) to = (to + 1) % 4;
    room_[person] = to;
    constexpr std::array<const char*, 3> forms = {"{} goes to the {}.", "{} walks to the {}.",
                                                  "Then {} goes to the {}."};
    const auto form = text_.empty() ? size_t{0} : static_cast<size_t>(draw_.below(3));
    say(fmt::format(fmt::runtime(forms[form]), who_[person], where_[static_cast<size_t>(to)]));
  }
  bool handle(size_t person, size_t thing) {
    if (holder_[thing] == static_cast<int>(person)) {
      holder_[thing] = -1;
      place_[thing] = room_[person];
      say(fmt::format("{} puts down the {}.", who_[person], what_[thing]));
      return true;
    }
    if (holder_[thing] >= 0 || (place_[thing] >= 0 && place_[thing] != room_[person])) return false;
    holder_[thing] = static_cast<int>(person);
    place_[thing] = room_[person];
    say(fmt::format("{} takes the {}.", who_[person], what_[thing]));
    return true;
  }
  Problem finish(const std::string& question, const std::string& thought, const std::string& room,
                 const std::string& reply) {
    return {text_ + question, room.substr(room.rfind(' ') + 1),
            one_turn(text_ + " " + question, thought, reply)};
  }

  Draw& draw_;
  std::array<std::string_view, 3> who_;
  std::array<std::string_view, 4> where_;
  std::array<std::string_view, 2> what_;
  std::array<int, 3> room_ = {-1, -1, -1};
  std::array<int, 2> holder_ = {-1, -1}, place_ = {-1, -1};  // place: -1 until first taken
  std::string text_;
};

using Lines = std::array<const char*, 4>;

// {0} hero, {1} he, {2} friend, {3} place, {4} thing, {5} kind of hero, {6} He
constexpr Lines kBeginnings = {
    "Once upon a time there was a little {5} called {0}. {6} lived near a {3}.",
    "{0} was a small {5} who lived by the {3}.",
    "There once was a {5} whose name was {0}. Every day {1} went to the {3}.",
    "In a house at the edge of a {3} lived a young {5}. Everybody called {1} {0}."};
constexpr Lines kWishes = {"One day {0} wanted to find a {4}, but there was none far and wide.",
                           "One morning {0} saw that the old {4} was gone.",
                           "More than anything else, {0} wished to have a {4}.",
                           "One day {0} lost a {4} and was very sad about it."};
constexpr Lines kTries = {"{6} looked under every stone and behind every tree, but found nothing.",
                          "{6} walked and walked until the sun went down.",
                          "First {1} asked the wind, but the wind only laughed.",
                          "{6} climbed the highest hill to see farther, but it was too dark."};
constexpr Lines kHelps = {
    "Then {2} came along. \"Why are you so sad?\" asked {2}. \"I am looking for a {4},\" said {0}.",
    "On the way {0} met {2}. \"I know where a {4} is,\" said {2}. \"Come with me!\"",
    "\"Don't give up,\" said a voice. It was {2}, an old friend. \"Let us look together.\"",
    "There sat {2}, all alone. {0} shared some bread, and {2} said: \"Now I will help you.\""};
constexpr Lines kFinds = {
    "Together they went to the {3}, and there, in the grass, lay the {4}.",
    "They looked once more, and behind an old wall they found the {4}.",
    "{2} pointed to a tree. High up in its branches hung the {4}!",
    "They dug a little in the sand, and soon they held the {4} in their hands."};
constexpr Lines kEnds = {
    "{0} was so happy that {1} danced all the way home. From then on they were best friends.",
    "\"Thank you,\" said {0}. \"Alone I could not have done it.\" And they went home together.",
    "That night {0} slept well, and the {4} lay beside the bed.",
    "And {0} learnt that it is good to have a friend."};

constexpr auto kHeroes = std::to_array<std::string_view>(
    {"mouse",    "rabbit", "fox",  "bear",  "owl",  "cat", "dog",   "duck",   "frog",  "hedgehog",
     "squirrel", "goat",   "lamb", "horse", "girl", "boy", "fairy", "dragon", "robot", "king"});
constexpr auto kLands =
    std::to_array<std::string_view>({"forest", "river", "lake", "meadow", "mountain", "village",
                                     "beach", "garden", "castle", "field", "pond", "hill"});

Problem tell_story(Draw& draw) {
  const Person& hero = draw.pick(people());
  const Person* helper = &draw.pick(people());
  while (helper->name == hero.name) helper = &draw.pick(people());
  const std::string_view kind = draw.pick(kHeroes), land = draw.pick(kLands);
  const std::string_view thing = draw.pick(things()).one;
  const std::string he_begins = hero.he == "he" ? "He" : "She";
  std::vector<std::string> parts;
  for (const Lines* lines : {&kBeginnings, &kWishes, &kTries, &kHelps, &kFinds, &kEnds}) {
    const char* line = draw.pick(*lines);
    const bool is_object = line == kBeginnings[3];
    parts.push_back(fmt::format(fmt::runtime(line), hero.name, is_object ? hero.him : hero.he,
                                helper->name, land, thing, kind, he_begins));
  }
  const auto join = [&](size_t begin, size_t end) {
    std::string text;
    for (size_t i = begin; i < end; ++i) {
      text += (text.empty() ? "" : i == 3 ? "\n\n" : " ") + parts[i];
    }
    return text;
  };
  constexpr std::array<const char*, 4> forms = {
      "Tell me a story about a {}.", "Write a short story about a {} called {}.",
      "Can you tell me a story about a {}?", "I'd like to hear a story about a {} and {}."};
  std::string question, reply;
  if (draw.chance(40)) {
    const auto known = static_cast<size_t>(draw.between(1, 3));
    question = "Continue this story: " + join(0, known);
    reply = join(known, parts.size());
  } else {
    const auto form = static_cast<size_t>(draw.below(4));
    question = fmt::format(fmt::runtime(forms[form]), kind, form == 1 ? hero.name : helper->name);
    reply = join(0, parts.size());
  }
  return {question, "", one_turn(question, "", reply)};
}

}  // namespace

Problem make_story(Draw& draw) {
  if (draw.chance(50)) return tell_story(draw);
  World world(draw);
  world.tell(draw.between(3, 9));
  return world.ask();
}

}  // namespace hadal::data
