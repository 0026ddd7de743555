// Word problems of two to four steps. The thought has one line a step, "what 12+7=19", each a sum
// with one small number or a product by a small one; the reply is a sentence with the result.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "data/generators.h"
#include "data/vocabulary.h"

namespace hadal::data {
namespace {

// A problem while it is told: sentences, steps and the numbers that make it what it is.
class Tale {
 public:
  Tale(Draw& draw, std::string_view kind) : draw_(draw), canonical_(kind) {}

  template <typename... Args>
  void say(fmt::format_string<Args...> format, Args&&... args) {
    text_ += (text_.empty() ? "" : " ") + fmt::format(format, std::forward<Args>(args)...);
  }
  // A number of the story.
  int64_t number(int64_t first, int64_t last) {
    const int64_t n = draw_.between(first, last);
    canonical_ += fmt::format(" {}", n);
    return n;
  }
  // A choice between ways in which the story can go.
  int64_t way(int64_t count) {
    const int64_t chosen = draw_.below(count);
    canonical_ += fmt::format(" {}", static_cast<char>('a' + chosen));
    return chosen;
  }
  int64_t step(std::string_view what, int64_t a, char sign, int64_t b) {
    const int64_t result = sign == '+' ? a + b : sign == '-' ? a - b : sign == '*' ? a * b : a / b;
    thought_ +=
        fmt::format("{}{} {}{}{}={}", thought_.empty() ? "" : "\n", what, a, sign, b, result);
    return result;
  }
  template <typename... Args>
  Problem ask(int64_t answer, const std::string& question, fmt::format_string<Args...> reply,
              Args&&... args) {
    text_ += " " + question;
    return {canonical_, std::to_string(answer),
            one_turn(std::move(text_), std::move(thought_),
                     fmt::format(reply, std::forward<Args>(args)...))};
  }

 private:
  Draw& draw_;
  std::string text_, thought_, canonical_;
};

// Two different ones.
std::pair<Person, Person> two_people(Draw& draw) {
  const auto all = people();
  const auto count = static_cast<int64_t>(all.size());
  const int64_t a = draw.below(count), b = (a + draw.between(1, count - 1)) % count;
  return {all[static_cast<size_t>(a)], all[static_cast<size_t>(b)]};
}

std::string capital(std::string_view word) {
  std::string out(word);
  if (!out.empty() && out[0] >= 'a' && out[0] <= 'z') out[0] = static_cast<char>(out[0] - 32);
  return out;
}

std::string plural_container(std::string_view container) {
  return std::string(container) + (container.ends_with("x") ? "es" : "s");
}

// Things come and go.
Problem tell_chain(Draw& draw) {
  Tale tale(draw, "chain");
  const auto [owner, other] = two_people(draw);
  const Thing& thing = draw.pick(things());
  int64_t have = tale.number(5, 40);
  tale.say("{} has {} {}.", owner.name, have, thing.many);
  const int64_t steps = tale.number(2, 4);
  for (int64_t i = 0; i < steps; ++i) {
    const std::string who = capital(owner.he);
    switch (tale.way(have >= 6 ? 5 : 2)) {
      case 0: {
        const int64_t n = tale.number(2, 30);
        tale.say("{} buys {} more.", who, n);
        have = tale.step("buys", have, '+', n);
        break;
      }
      case 1: {
        const int64_t n = tale.number(2, 20);
        tale.say("{} gives {} {} {}.", other.name, owner.him, n, named(thing, n));
        have = tale.step("gets", have, '+', n);
        break;
      }
      case 2: {
        const int64_t n = tale.number(1, std::min<int64_t>(have - 1, 25));
        tale.say("{} gives {} to {}.", who, n, other.name);
        have = tale.step("gives", have, '-', n);
        break;
      }
      case 3: {
        const int64_t n = tale.number(1, std::min<int64_t>(have - 1, 15));
        tale.say("Then {} loses {} of them.", owner.he, n);
        have = tale.step("loses", have, '-', n);
        break;
      }
      default: {
        const int64_t packs = tale.number(2, 5), each = tale.number(2, 9);
        tale.say("{} gets {} packs of {}.", who, packs, each);
        have = tale.step("all", have, '+', tale.step("packs", packs, '*', each));
      }
    }
  }
  return tale.ask(have, fmt::format("How many {} does {} have now?", thing.many, owner.name),
                  "{} has {} {} now.", owner.name, have, named(thing, have));
}

// One has so many more, fewer or times as many as another.
Problem tell_comparison(Draw& draw) {
  Tale tale(draw, "comparison");
  const auto all = people();
  const auto first = static_cast<size_t>(draw.below(static_cast<int64_t>(all.size())));
  const Thing& thing = draw.pick(things());
  int64_t have = tale.number(4, 30), total = have;
  const Person* last = &all[first];
  tale.say("{} has {} {}.", last->name, have, thing.many);
  const int64_t others = tale.number(1, 2);
  const bool asks_total = tale.way(2) == 1;
  for (int64_t i = 1; i <= others; ++i) {
    const Person& next = all[(first + static_cast<size_t>(i) * 7) % all.size()];
    switch (tale.way(have > 4 ? 3 : 2)) {
      case 0: {
        const int64_t n = tale.number(2, 20);
        tale.say("{} has {} more than {}.", next.name, n, last->name);
        have = tale.step(next.name, have, '+', n);
        break;
      }
      case 1: {
        const int64_t n = tale.number(2, 4);
        tale.say("{} has {} as many as {}.", next.name,
                 n == 2   ? "twice"
                 : n == 3 ? "three times"
                          : "four times",
                 last->name);
        have = tale.step(next.name, have, '*', n);
        break;
      }
      default: {
        const int64_t n = tale.number(1, std::min<int64_t>(have - 1, 15));
        tale.say("{} has {} fewer than {}.", next.name, n, last->name);
        have = tale.step(next.name, have, '-', n);
      }
    }
    if (asks_total) total = tale.step("all", total, '+', have);
    last = &next;
  }
  if (asks_total) {
    return tale.ask(total, fmt::format("How many {} do they have altogether?", thing.many),
                    "Together they have {} {}.", total, thing.many);
  }
  if (others == 1) {  // a second step
    const int64_t n = tale.number(2, 20);
    tale.say("Then {} finds {} more.", last->name, n);
    have = tale.step("finds", have, '+', n);
  }
  return tale.ask(have, fmt::format("How many {} does {} have?", thing.many, last->name),
                  "{} has {} {}.", last->name, have, named(thing, have));
}

Problem tell_shopping(Draw& draw) {
  Tale tale(draw, "shopping");
  const Person& buyer = draw.pick(people());
  const Thing& a = draw.pick(things());
  const Thing* b = &draw.pick(things());
  while (b->one == a.one) b = &draw.pick(things());
  const int64_t price_a = tale.number(2, 12), price_b = tale.number(2, 12);
  const int64_t count_a = tale.number(2, 9), count_b = tale.number(2, 9);
  tale.say("One {} costs {} dollars and one {} costs {} dollars.", a.one, price_a, b->one, price_b);
  tale.say("{} buys {} {} and {} {}.", buyer.name, count_a, a.many, count_b, b->many);
  const int64_t cost_a = tale.step(a.many, count_a, '*', price_a);
  const int64_t cost_b = tale.step(b->many, count_b, '*', price_b);
  const int64_t cost = tale.step("pays", cost_a, '+', cost_b);
  if (tale.way(2) == 0) {
    return tale.ask(cost, fmt::format("How many dollars does {} pay?", buyer.he),
                    "{} pays {} dollars.", buyer.name, cost);
  }
  const int64_t note = cost <= 50 ? 50 : cost <= 100 ? 100 : cost <= 200 ? 200 : 500;
  tale.say("{} pays with {} dollars.", capital(buyer.he), note);
  const int64_t change = tale.step("change", note, '-', cost);
  return tale.ask(change, fmt::format("How much change does {} get?", buyer.he),
                  "{} gets {} dollars back.", buyer.name, change);
}

Problem tell_boxes(Draw& draw) {
  Tale tale(draw, "boxes");
  const Thing& thing = draw.pick(things());
  const std::string boxes = plural_container(draw.pick(containers()));
  const int64_t count = tale.number(2, 12), each = tale.number(3, 12);
  tale.say("There are {} {} with {} {} in each.", count, boxes, each, thing.many);
  int64_t have = tale.step("in all", count, '*', each);
  const int64_t gone = tale.number(2, std::min<int64_t>(have - 2, 20));
  const bool are_added = tale.way(2) == 1;
  if (are_added) {
    tale.say("{} more are put beside them.", gone);
    have = tale.step("more", have, '+', gone);
  } else {
    tale.say("{} of them are taken away.", gone);
    have = tale.step("left", have, '-', gone);
  }
  if (tale.way(2) == 1) {
    for (const int64_t children : {6, 5, 4, 3, 2}) {
      if (have % children != 0 || have / children < 2) continue;
      tale.say("The rest is shared equally by {} children.", children);
      const int64_t share = tale.step("each", have, '/', children);
      return tale.ask(share, fmt::format("How many {} does each child get?", thing.many),
                      "Each child gets {} {}.", share, named(thing, share));
    }
  }
  return tale.ask(have, fmt::format("How many {} are there now?", thing.many),
                  "There are {} {} now.", have, thing.many);
}

Problem tell_saving(Draw& draw) {
  Tale tale(draw, "saving");
  const Person& person = draw.pick(people());
  const int64_t start = tale.number(5, 60), weekly = tale.number(2, 15), weeks = tale.number(2, 9);
  tale.say("{} has {} dollars.", person.name, start);
  tale.say("{} saves {} dollars every week for {} weeks.", capital(person.he), weekly, weeks);
  const int64_t saved = tale.step("saves", weekly, '*', weeks);
  int64_t have = tale.step("has", start, '+', saved);
  if (tale.way(2) == 1) {
    const int64_t spent = tale.number(2, std::min<int64_t>(have - 1, 60));
    tale.say("Then {} spends {} dollars on a {}.", person.he, spent, draw.pick(things()).one);
    have = tale.step("left", have, '-', spent);
  }
  return tale.ask(have, fmt::format("How many dollars does {} have then?", person.he),
                  "{} has {} dollars.", person.name, have);
}

Problem tell_reading(Draw& draw) {
  Tale tale(draw, "reading");
  const Person& person = draw.pick(people());
  const int64_t daily = tale.number(4, 20), days = tale.number(2, 7);
  const int64_t read = daily * days, rest = tale.number(5, 60);
  tale.say("A book has {} pages. {} reads {} pages a day for {} days.", read + rest, person.name,
           daily, days);
  tale.step("read", daily, '*', days);
  int64_t left = tale.step("left", read + rest, '-', read);
  if (tale.way(2) == 1 && left > 8) {
    const int64_t more = tale.number(2, left - 3);
    tale.say("On the next day {} reads {} more.", person.he, more);
    left = tale.step("left", left, '-', more);
  }
  return tale.ask(left, fmt::format("How many pages are left to read?"), "There are {} pages left.",
                  left);
}

Problem tell_ages(Draw& draw) {
  Tale tale(draw, "ages");
  const auto [a, b] = two_people(draw);
  const int64_t age = tale.number(5, 15), gap = tale.number(2, 4), times = tale.number(2, 5);
  const bool is_older = tale.way(2) == 1;
  tale.say("{} is {} years old. {} is {} years {} than {}.", a.name, age, b.name, gap,
           is_older ? "older" : "younger", a.name);
  tale.say("Their teacher is {} times as old as {}.", times, b.name);
  const int64_t second = tale.step(b.name, age, is_older ? '+' : '-', gap);
  const int64_t teacher = tale.step("teacher", second, '*', times);
  if (tale.way(2) == 0) {
    return tale.ask(teacher, "How old is the teacher?", "The teacher is {} years old.", teacher);
  }
  const int64_t later = tale.number(2, 12);
  const int64_t then = tale.step("later", teacher, '+', later);
  return tale.ask(then, fmt::format("How old will the teacher be in {} years?", later),
                  "The teacher will be {} years old.", then);
}

Problem tell_garden(Draw& draw) {
  Tale tale(draw, "garden");
  const Person& person = draw.pick(people());
  constexpr std::array<Thing, 6> plants = {{{"tree", "trees"},
                                            {"rose", "roses"},
                                            {"bush", "bushes"},
                                            {"cabbage", "cabbages"},
                                            {"tulip", "tulips"},
                                            {"bean plant", "bean plants"}}};
  const Thing& plant = draw.pick(plants);
  const int64_t rows = tale.number(3, 12), each = tale.number(3, 12);
  tale.say("{} plants {} rows of {} {} in {} garden.", person.name, rows, each, plant.many,
           person.his);
  int64_t have = tale.step("planted", rows, '*', each);
  const int64_t dead = tale.number(2, std::min<int64_t>(have - 2, 12));
  tale.say("{} of them die in the winter.", dead);
  have = tale.step("alive", have, '-', dead);
  if (tale.way(2) == 1) {
    const int64_t fresh = tale.number(2, 20);
    tale.say("In spring {} plants {} new ones.", person.he, fresh);
    have = tale.step("now", have, '+', fresh);
  }
  return tale.ask(have, fmt::format("How many {} are in the garden now?", plant.many),
                  "There are {} {} in the garden.", have, plant.many);
}

Problem tell_journey(Draw& draw) {
  Tale tale(draw, "journey");
  const Person& person = draw.pick(people());
  const bool by_train = tale.way(2) == 1;
  const int64_t fast = by_train ? tale.number(4, 9) * 10 : tale.number(8, 20);
  const int64_t hours = tale.number(2, 5), walked = tale.number(2, 15);
  tale.say("{} travels by {} for {} hours at {} kilometres an hour.", person.name,
           by_train ? "train" : "bicycle", hours, fast);
  tale.say("Then {} walks {} kilometres.", person.he, walked);
  int64_t distance = tale.step("ride", fast, '*', hours);
  distance = tale.step("way", distance, '+', walked);
  if (tale.way(2) == 1) {
    tale.say("Later {} goes the whole way back.", person.he);
    distance = tale.step("both", distance, '*', 2);
  }
  return tale.ask(distance, fmt::format("How many kilometres does {} travel in all?", person.he),
                  "{} travels {} kilometres.", person.name, distance);
}

Problem tell_party(Draw& draw) {
  Tale tale(draw, "party");
  const Person& host = draw.pick(people());
  const Thing& thing = draw.pick(things());
  const int64_t guests = tale.number(3, 9), share = tale.number(2, 6), spare = tale.number(1, 9);
  tale.say("{} invites {} guests to {} party and has {} {}.", host.name, guests, host.his,
           guests * share + spare, thing.many);
  tale.say("Every guest gets {} of them.", share);
  const int64_t given = tale.step("given", guests, '*', share);
  int64_t left = tale.step("left", guests * share + spare, '-', given);
  if (tale.way(2) == 1) {
    const int64_t bought = tale.number(3, 30);
    tale.say("Then {} buys {} more.", host.he, bought);
    left = tale.step("now", left, '+', bought);
  }
  return tale.ask(left, fmt::format("How many {} does {} have left?", thing.many, host.name),
                  "{} has {} {} left.", host.name, left, named(thing, left));
}

}  // namespace

Problem make_words(Draw& draw) {
  constexpr std::array<Problem (*)(Draw&), 10> tales = {
      tell_chain,   tell_comparison, tell_shopping, tell_boxes,   tell_saving,
      tell_reading, tell_ages,       tell_garden,   tell_journey, tell_party};
  return draw.chance(25) ? tell_chain(draw) : draw.pick(tales)(draw);
}

}  // namespace hadal::data
