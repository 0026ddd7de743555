#include "data/generators.h"

#include <algorithm>
#include <array>
#include <cctype>

#include <xxhash.h>

#include "base/error.h"

namespace hadal::data {
namespace {

constexpr auto kGenerators = std::to_array<Generator>({
    {"add", "sums of up to 8 digits, worked digit by digit", make_add},
    {"subtract", "differences of up to 8 digits", make_subtract},
    {"multiply", "products of up to 4 by 4 digits", make_multiply},
    {"divide", "quotients with remainder, up to 6 by 2 digits", make_divide},
    {"compare", "which of two numbers is larger", make_compare},
    {"words", "word problems of two to four steps", make_words},
    {"count", "letters in words, things in lists", make_count},
    {"sort", "numbers and words in order", make_sort},
    {"date", "days of the week, months, dates", make_date},
    {"text", "spelling, reversing, first and last, opposites, plurals", make_text},
    {"chat", "greetings and small talk, simple requests, facts", make_chat},
    {"identity", "what Hadal is and what it cannot do", make_identity},
    {"unknown", "questions that it cannot know the answer to", make_unknown},
    {"story", "short stories with questions about who has what and is where", make_story},
});

constexpr uint64_t kAttempts = 20000;

Problem attempt(const Generator& generator, uint64_t seed, uint64_t index, Part part) {
  const auto stream = static_cast<uint64_t>(&generator - kGenerators.data());
  for (uint64_t i = 0; i < kAttempts; ++i) {
    Draw draw(seed, stream, index, i);
    Problem problem = generator.make(draw);
    if (part == Part::all || is_held_out(problem) == (part == Part::held_out)) return problem;
  }
  fail(ErrorKind::limit, "the generator '{}' has too few problems to hold some of them out",
       generator.name);
}

}  // namespace

std::span<const Generator> generators() {
  return kGenerators;
}

const Generator& find_generator(std::string_view name) {
  const auto found = std::find_if(kGenerators.begin(), kGenerators.end(),
                                  [&](const Generator& g) { return g.name == name; });
  if (found != kGenerators.end()) return *found;
  std::string names;
  for (const Generator& g : kGenerators) names += (names.empty() ? "" : ", ") + std::string(g.name);
  fail(ErrorKind::usage, "unknown generator '{}'; known are {}", name, names);
}

bool is_held_out(const Problem& problem) {
  return XXH3_64bits(problem.canonical.data(), problem.canonical.size()) % 100 == 0;
}

Problem generate(const Generator& generator, uint64_t seed, uint64_t index, Part part) {
  return attempt(find_generator(generator.name), seed, index, part);
}

std::string answer_of(std::string_view reply) {
  std::string number, word, last;
  bool is_number = false;
  const auto take = [&] {
    if (!number.empty()) {
      last = number;
      is_number = true;
    } else if (!word.empty() && !is_number) {
      last = word;
    }
    number.clear();
    word.clear();
  };
  for (size_t i = 0; i < reply.size(); ++i) {
    const auto c = static_cast<unsigned char>(reply[i]);
    const bool next_digit =
        i + 1 < reply.size() && std::isdigit(static_cast<unsigned char>(reply[i + 1])) != 0;
    const bool previous_digit = !number.empty() && number != "-";
    if (std::isdigit(c) != 0 && word.empty()) {
      number += reply[i];
    } else if (c == '-' && next_digit && number.empty() && word.empty()) {
      number = "-";
    } else if (c == ',' && previous_digit && next_digit) {
      continue;
    } else if (std::isalpha(c) != 0 && number.empty()) {
      word += static_cast<char>(std::tolower(c));
    } else {
      take();
    }
  }
  take();
  return last;
}

bool is_right(const Problem& problem, std::string_view reply) {
  const std::string& answer = problem.answer;
  if (answer.empty()) return false;
  if (answer.find_first_not_of("-0123456789") == std::string::npos) {
    return answer_of(reply) == answer;
  }
  const auto small = [](unsigned char c) { return static_cast<char>(std::tolower(c)); };
  const auto same = [&](char a, char b) {
    return small(static_cast<unsigned char>(a)) == small(static_cast<unsigned char>(b));
  };
  while (!reply.empty() && (reply.back() == '.' || std::isspace(small(reply.back())) != 0)) {
    reply.remove_suffix(1);
  }
  if (reply.size() < answer.size() ||
      !std::equal(answer.begin(), answer.end(), reply.end() - static_cast<ptrdiff_t>(answer.size()),
                  same)) {
    return false;
  }
  reply.remove_suffix(answer.size());
  return reply.empty() || (std::isalnum(small(reply.back())) == 0 && reply.back() != '-');
}

tokenizer::Dialogue one_turn(std::string question, std::string thought, std::string reply) {
  tokenizer::Message user, assistant;
  user.role = tokenizer::Role::user;
  user.content = std::move(question);
  assistant.role = tokenizer::Role::assistant;
  assistant.content = std::move(reply);
  assistant.reasoning_content = std::move(thought);
  tokenizer::Dialogue dialogue;
  dialogue.messages = {std::move(user), std::move(assistant)};
  return dialogue;
}

}  // namespace hadal::data
