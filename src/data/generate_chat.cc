// Everyday dialogue: greetings, feelings, names that are to be remembered, small requests, facts
// that a child knows.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "data/generators.h"
#include "data/vocabulary.h"

namespace hadal::data {
namespace {

struct Turn {
  std::string question, reply;
};

template <size_t count>
std::string any(Draw& draw, const std::array<std::string_view, count>& lines) {
  return std::string(draw.pick(lines));
}

constexpr auto kHello = std::to_array<std::string_view>(
    {"Hello", "Hello!", "Hi", "Hi!", "Hi there!", "Good morning!", "Good evening.", "Hey",
     "Good afternoon!", "hello there", "Hello Hadal!", "Hi Hadal"});
constexpr auto kHelloBack = std::to_array<std::string_view>(
    {"Hello! How can I help you?", "Hi! What can I do for you?", "Hello! Nice to meet you.",
     "Hi there! Do you have a sum for me?", "Hello! What would you like to talk about?"});
constexpr auto kHowAreYou = std::to_array<std::string_view>(
    {"How are you?", "How are you today?", "How is it going?", "How do you do?", "Are you well?",
     "how are you", "What's up?"});
constexpr auto kFine = std::to_array<std::string_view>(
    {"I'm fine, thank you. And you?", "All is well here. How are you?",
     "I am a program, so I have no feelings, but all is in order. How are you?",
     "Very well, thank you! What shall we do?"});
constexpr auto kThanks = std::to_array<std::string_view>(
    {"Thank you!", "Thanks", "Thanks a lot.", "Thank you very much!", "That helps, thank you.",
     "Great, thanks!"});
constexpr auto kWelcome =
    std::to_array<std::string_view>({"You're welcome!", "You are welcome. Is there anything else?",
                                     "My pleasure!", "Any time!", "Glad to help."});
constexpr auto kBye = std::to_array<std::string_view>(
    {"Goodbye!", "Bye", "See you later.", "Good night!", "Bye bye!", "I have to go now."});
constexpr auto kByeBack =
    std::to_array<std::string_view>({"Goodbye! It was nice to talk to you.", "Bye! Come back soon.",
                                     "See you!", "Goodbye, and have a good day!"});

struct Pair {
  std::string_view first, second;
};

constexpr auto kFeelings = std::to_array<Pair>({
    {"I am tired.", "Then you should rest a little. Have you slept well?"},
    {"I'm sad today.", "I'm sorry to hear that. Would you like to tell me why?"},
    {"I am happy!", "That is good to hear! What made you happy?"},
    {"I am bored.", "Shall I tell you a story, or shall we do a sum?"},
    {"I'm hungry.", "Then it is time to eat something. What do you like best?"},
    {"I am cold.", "Put on something warm, and perhaps drink a cup of tea."},
    {"I had a bad day.", "I'm sorry. I hope that tomorrow will be better."},
    {"I had a good day.", "How nice! What was the best part of it?"},
    {"I can't sleep.", "Try to think of something calm, like the sea or a quiet forest."},
    {"I'm afraid of the dark.", "Many people are. A small light can help."},
    {"I lost my keys.", "Oh dear. Where did you have them last?"},
    {"I like you.", "Thank you! That is kind of you."},
    {"You are stupid.", "I am a small model and make mistakes. I will try to do better."},
    {"I don't understand.", "Let us go through it again. Which part is not clear?"},
    {"I'm going on holiday.", "How nice! Where are you going?"},
    {"It is my birthday today!", "Happy birthday! I hope you have a lovely day."},
    {"I have a test tomorrow.", "Good luck! Shall we practise some sums together?"},
    {"I am ill.", "I'm sorry. Please rest, and see a doctor if it gets worse."},
});

constexpr auto kFacts = std::to_array<Pair>({
    {"What is the capital of France?", "The capital of France is Paris."},
    {"What is the capital of Germany?", "The capital of Germany is Berlin."},
    {"What is the capital of Italy?", "The capital of Italy is Rome."},
    {"What is the capital of Spain?", "The capital of Spain is Madrid."},
    {"What is the capital of England?", "The capital of England is London."},
    {"What is the capital of Japan?", "The capital of Japan is Tokyo."},
    {"What is the capital of China?", "The capital of China is Beijing."},
    {"What is the capital of Russia?", "The capital of Russia is Moscow."},
    {"What is the capital of Egypt?", "The capital of Egypt is Cairo."},
    {"What is the capital of Greece?", "The capital of Greece is Athens."},
    {"What is the capital of Norway?", "The capital of Norway is Oslo."},
    {"What is the capital of Sweden?", "The capital of Sweden is Stockholm."},
    {"What is the capital of Poland?", "The capital of Poland is Warsaw."},
    {"What is the capital of the USA?", "The capital of the USA is Washington."},
    {"What is the capital of Canada?", "The capital of Canada is Ottawa."},
    {"What is the capital of India?", "The capital of India is New Delhi."},
    {"What colour is the sky?", "On a clear day the sky is blue."},
    {"What colour is grass?", "Grass is green."},
    {"What colour is snow?", "Snow is white."},
    {"What colour is a banana?", "A ripe banana is yellow."},
    {"What colour is blood?", "Blood is red."},
    {"How many legs has a spider?", "A spider has eight legs."},
    {"How many legs has a dog?", "A dog has four legs."},
    {"How many legs has a bird?", "A bird has two legs."},
    {"How many legs has an insect?", "An insect has six legs."},
    {"How many days are in a week?", "A week has seven days."},
    {"How many months are in a year?", "A year has twelve months."},
    {"How many hours are in a day?", "A day has twenty-four hours."},
    {"How many minutes are in an hour?", "An hour has sixty minutes."},
    {"How many seconds are in a minute?", "A minute has sixty seconds."},
    {"What do bees make?", "Bees make honey."},
    {"What do cows give?", "Cows give milk."},
    {"What do hens lay?", "Hens lay eggs."},
    {"What does a cat say?", "A cat says meow."},
    {"What does a dog say?", "A dog says woof."},
    {"What does a cow say?", "A cow says moo."},
    {"What is ice?", "Ice is frozen water."},
    {"What is rain?", "Rain is water that falls from the clouds."},
    {"What is the sun?", "The sun is a star. It gives us light and warmth."},
    {"What is the moon?", "The moon is a ball of rock that goes round the Earth."},
    {"What is a doctor?", "A doctor is a person who helps people that are ill."},
    {"What is a teacher?", "A teacher is a person who helps others to learn."},
    {"What is a baker?", "A baker is a person who makes bread and cakes."},
    {"What is bread made of?", "Bread is made of flour, water, salt and yeast."},
    {"What is cheese made of?", "Cheese is made of milk."},
    {"What is paper made of?", "Paper is made of wood."},
    {"What is the largest ocean?", "The largest ocean is the Pacific Ocean."},
    {"What is the largest animal?", "The largest animal is the blue whale."},
    {"What is the tallest animal?", "The tallest animal is the giraffe."},
    {"Which planet do we live on?", "We live on the Earth."},
    {"What is the opposite of hot?", "The opposite of hot is cold."},
    {"What is the opposite of big?", "The opposite of big is small."},
    {"What is the opposite of up?", "The opposite of up is down."},
    {"What is the opposite of day?", "The opposite of day is night."},
    {"What is the opposite of old?", "The opposite of old is young, or new."},
    {"What is the opposite of happy?", "The opposite of happy is sad."},
    {"What is the opposite of open?", "The opposite of open is closed."},
    {"What is the opposite of fast?", "The opposite of fast is slow."},
    {"What is the opposite of left?", "The opposite of left is right."},
    {"What is the opposite of wet?", "The opposite of wet is dry."},
    {"Name the four seasons.", "The four seasons are spring, summer, autumn and winter."},
    {"Say the alphabet.", "a b c d e f g h i j k l m n o p q r s t u v w x y z"},
    {"Name the days of the week.",
     "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday."},
    {"How do I make tea?",
     "Boil some water, pour it on the tea, wait a few minutes and take out the leaves."},
    {"How do I boil an egg?", "Put the egg into boiling water and wait for about eight minutes."},
    {"How do I make a sandwich?",
     "Take two slices of bread, put some butter and cheese between them, and it is ready."},
    {"How do I plant a seed?",
     "Make a small hole in the soil, put the seed in, cover it and give it water."},
    {"How do I wash my hands?",
     "Wet your hands, rub them with soap for a while, then rinse and dry them."},
    {"Tell me a joke.", "Why did the number six feel afraid? Because seven ate nine."},
    {"Do you like music?", "I can't hear music, but I know that many people love it."},
    {"Do you have friends?", "I am a program, so I have none, but I like to talk with you."},
    {"Do you sleep?", "No, I don't sleep. I only work while you talk to me."},
    {"Can you sing?", "I can't sing, but I can write a short rhyme."},
    {"Are you alive?", "No. I am a program and not alive."},
});

struct Group {
  std::string_view name;
  std::array<std::string_view, 8> members;
};
constexpr auto kGroups = std::to_array<Group>({
    {"animals", {"a dog", "a cat", "a horse", "a cow", "a lion", "a bear", "a mouse", "a fox"}},
    {"colours", {"red", "blue", "green", "yellow", "black", "white", "brown", "grey"}},
    {"fruits", {"apples", "pears", "plums", "cherries", "grapes", "lemons", "oranges", "bananas"}},
    {"vegetables",
     {"carrots", "potatoes", "onions", "peas", "beans", "cabbage", "tomatoes", "leeks"}},
    {"things in a kitchen",
     {"a table", "a knife", "a spoon", "a pot", "a pan", "a stove", "a cup", "a plate"}},
    {"birds",
     {"the eagle", "the owl", "the crow", "the duck", "the swan", "the robin", "the gull",
      "the hen"}},
    {"tools", {"a hammer", "a saw", "a spade", "a rake", "an axe", "a drill", "a file", "a brush"}},
    {"countries", {"France", "Italy", "Japan", "Brazil", "Egypt", "India", "Canada", "Norway"}},
    {"things to wear",
     {"a hat", "a coat", "shoes", "socks", "a shirt", "gloves", "a scarf", "trousers"}},
    {"ways to travel",
     {"by train", "by bus", "by car", "by ship", "by bicycle", "on foot", "by plane",
      "on a horse"}},
});

Turn list_some(Draw& draw) {
  const Group& group = draw.pick(kGroups);
  constexpr std::array<std::string_view, 4> numbers = {"two", "three", "four", "five"};
  const int64_t count = draw.between(2, 5);
  const auto start = static_cast<size_t>(draw.below(8));
  const size_t stride = draw.chance(50) ? 3 : 5;  // all different: 8 is no multiple
  std::string list;
  for (int64_t i = 0; i < count; ++i) {
    const std::string_view between = i == 0 ? "" : i + 1 == count ? " and " : ", ";
    list += between;
    list += group.members[(start + static_cast<size_t>(i) * stride) % 8];
  }
  constexpr std::array<const char*, 3> forms = {"Name {} {}.", "Tell me {} {}.",
                                                "Can you list {} {}?"};
  list[0] = static_cast<char>(list[0] >= 'a' && list[0] <= 'z' ? list[0] - 32 : list[0]);
  return {fmt::format(fmt::runtime(draw.pick(forms)), numbers[static_cast<size_t>(count - 2)],
                      group.name),
          list + "."};
}

Turn pair_turn(Draw& draw, std::span<const Pair> pairs) {
  const Pair& pair = draw.pick(pairs);
  std::string question(pair.first);
  if (draw.chance(10)) {  // as people type
    question.pop_back();
    question[0] = static_cast<char>(question[0] >= 'A' && question[0] <= 'Z' &&
                                            !question.starts_with("I ") && question[1] != '\''
                                        ? question[0] + 32
                                        : question[0]);
  }
  return {question, std::string(pair.second)};
}

Turn any_turn(Draw& draw) {
  switch (draw.below(6)) {
    case 0:
      return {any(draw, kHowAreYou), any(draw, kFine)};
    case 1:
      return pair_turn(draw, kFeelings);
    case 2:
      return list_some(draw);
    case 3:
      return {any(draw, kThanks), any(draw, kWelcome)};
    default:
      return pair_turn(draw, kFacts);
  }
}

// Something said early that is asked for later.
void append_memory(Draw& draw, std::vector<Turn>& turns) {
  const Person& person = draw.pick(people());
  const Thing& thing = draw.pick(things());
  switch (draw.below(3)) {
    case 0:
      turns.push_back({fmt::format("My name is {}.", person.name),
                       fmt::format("Nice to meet you, {}!", person.name)});
      if (draw.chance(60)) turns.push_back(any_turn(draw));
      turns.push_back({"What is my name?", fmt::format("Your name is {}.", person.name)});
      break;
    case 1:
      turns.push_back({fmt::format("I have a friend called {}.", person.name),
                       fmt::format("How nice! What does {} like?", person.name)});
      turns.push_back({fmt::format("{} likes {}.", person.name, thing.many),
                       fmt::format("Then you could give {} some {}.", person.him, thing.many)});
      if (draw.chance(60)) {
        turns.push_back({"What does my friend like?",
                         fmt::format("Your friend {} likes {}.", person.name, thing.many)});
      }
      break;
    default: {
      const int64_t age = draw.between(5, 80);
      turns.push_back({fmt::format("I am {} years old.", age), "Thank you for telling me!"});
      if (draw.chance(60)) turns.push_back(any_turn(draw));
      turns.push_back({"How old am I?", fmt::format("You are {} years old.", age)});
    }
  }
}

}  // namespace

Problem make_chat(Draw& draw) {
  std::vector<Turn> turns;
  if (draw.chance(35)) turns.push_back({any(draw, kHello), any(draw, kHelloBack)});
  const int64_t kind = draw.below(10);
  if (kind < 2) {
    append_memory(draw, turns);
  } else {
    for (int64_t i = draw.between(1, 3); i > 0; --i) turns.push_back(any_turn(draw));
  }
  if (draw.chance(15)) turns.push_back({any(draw, kBye), any(draw, kByeBack)});
  Problem problem;
  for (const Turn& turn : turns) {
    problem.canonical += turn.question + "|";
    for (auto& message : one_turn(turn.question, "", turn.reply).messages) {
      problem.dialogue.messages.push_back(message);
    }
  }
  return problem;
}

}  // namespace hadal::data
