// Addition, subtraction, multiplication, division and comparison.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "data/arithmetic_trace.h"
#include "data/generators.h"

namespace hadal::data {
namespace {

using Forms = std::array<const char*, 8>;

// {0} and {1} are the numbers. The first ones are answered by the bare result.
constexpr Forms kAddForms = {"{0}+{1}",
                             "{0} + {1}",
                             "{0}+{1}=",
                             "{0} + {1} = ?",
                             "What is {0} + {1}?",
                             "What is {0} plus {1}?",
                             "Add {0} and {1}.",
                             "Calculate the sum of {0} and {1}."};
constexpr Forms kSubtractForms = {"{0}-{1}",
                                  "{0} - {1}",
                                  "{0}-{1}=",
                                  "{0} - {1} = ?",
                                  "What is {0} - {1}?",
                                  "What is {0} minus {1}?",
                                  "Subtract {1} from {0}.",
                                  "How much is {0} less {1}?"};
constexpr Forms kMultiplyForms = {"{0}*{1}",
                                  "{0} x {1}",
                                  "{0}*{1}=",
                                  "{0} * {1} = ?",
                                  "What is {0} x {1}?",
                                  "What is {0} times {1}?",
                                  "Multiply {0} by {1}.",
                                  "Calculate the product of {0} and {1}."};
constexpr Forms kDivideForms = {"{0}/{1}",
                                "{0} / {1}",
                                "{0}/{1}=",
                                "{0} / {1} = ?",
                                "What is {0} / {1}?",
                                "What is {0} divided by {1}?",
                                "Divide {0} by {1}.",
                                "How many times does {1} go into {0}?"};
constexpr size_t kBareForms = 4;

const Forms& forms_of(Operation operation) {
  switch (operation) {
    case Operation::add:
      return kAddForms;
    case Operation::subtract:
      return kSubtractForms;
    case Operation::multiply:
      return kMultiplyForms;
    case Operation::divide:
      return kDivideForms;
  }
  return kAddForms;
}

// Exactly so many digits, no leading zero (0 itself has one digit). Some numbers are mostly nines,
// zeros or ones: equally distributed digits hardly ever show long carries.
int64_t draw_number(Draw& draw, int digits) {
  const int64_t style = draw.below(10);
  int64_t number = 0;
  for (int i = 0; i < digits; ++i) {
    int64_t digit = draw.below(10);
    if (style == 0 && draw.chance(70)) digit = 9;
    if (style == 1 && draw.chance(60)) digit = draw.below(2);
    if (i == 0 && digits > 1) digit = std::max<int64_t>(digit, 1);
    number = number * 10 + digit;
  }
  return number;
}

// A number whose digits complete another's to 9 or 10: long chains of carries.
int64_t draw_complement(Draw& draw, int64_t other, int digits) {
  int64_t number = 0, scale = 1;
  for (int i = 0; i < digits; ++i, scale *= 10, other /= 10) {
    int64_t digit = draw.chance(85) ? 9 - other % 10 : draw.below(10);
    if (i == 0) digit = std::min<int64_t>(9, digit + 1);
    if (i + 1 == digits && digits > 1) digit = std::max<int64_t>(digit, 1);
    number += digit * scale;
  }
  return number;
}

std::string with_commas(int64_t number) {
  std::string text = std::to_string(number);
  for (auto at = static_cast<ptrdiff_t>(text.size()) - 3; at > 0; at -= 3) {
    text.insert(static_cast<size_t>(at), ",");
  }
  return text;
}

struct Task {
  Operation operation;
  int64_t a, b;
};

std::string trace_of(const Task& task, Slip slip) {
  switch (task.operation) {
    case Operation::add:
      return add_trace(task.a, task.b, slip);
    case Operation::subtract:
      return subtract_trace(task.a, task.b, slip);
    case Operation::multiply:
      return multiply_trace(task.a, task.b, slip);
    case Operation::divide:
      return divide_trace(task.a, task.b, slip);
  }
  return {};
}

std::string result_of(const Task& task) {
  switch (task.operation) {
    case Operation::add:
      return std::to_string(task.a + task.b);
    case Operation::subtract:
      return std::to_string(task.a - task.b);
    case Operation::multiply:
      return std::to_string(task.a * task.b);
    case Operation::divide:
      break;
  }
  return task.a % task.b == 0 ? std::to_string(task.a / task.b)
                              : fmt::format("{} remainder {}", task.a / task.b, task.a % task.b);
}

// The same for 12+34 and 34+12: knowing one is knowing the other.
std::string canonical_of(const Task& task) {
  const bool commutes = task.operation == Operation::add || task.operation == Operation::multiply;
  const int64_t x = commutes ? std::min(task.a, task.b) : task.a;
  const int64_t y = commutes ? std::max(task.a, task.b) : task.b;
  return fmt::format("{}{}{}", x, operation_sign(task.operation), y);
}

// Few digits, that are known by heart.
bool is_easy(const Task& task) {
  switch (task.operation) {
    case Operation::add:
    case Operation::subtract:
      return task.a < 100 && task.b < 100;
    case Operation::multiply:
      return task.a <= 12 && task.b <= 12;
    case Operation::divide:
      return task.b <= 12 && task.a <= 12 * task.b && task.a % task.b == 0;
  }
  return false;
}

Task draw_task(Draw& draw, Operation operation, int digits_a, int digits_b) {
  Task task{operation, draw_number(draw, digits_a), 0};
  const bool chain =
      (operation == Operation::add || operation == Operation::subtract) && draw.chance(15);
  task.b = chain ? draw_complement(draw, task.a, digits_b) : draw_number(draw, digits_b);
  if (operation == Operation::divide) task.b = std::max<int64_t>(task.b, 1);
  return task;
}

Problem problem_of(const Task& task, const std::string& question, bool bare, std::string thought) {
  const std::string result = result_of(task);
  const std::string reply =
      bare ? result
           : fmt::format("{} {} {} = {}", task.a, operation_sign(task.operation), task.b, result);
  return {canonical_of(task), result, one_turn(question, std::move(thought), reply)};
}

Problem draw_problem(Draw& draw, Operation operation, int digits_a, int digits_b) {
  const Task task = draw_task(draw, operation, digits_a, digits_b);
  const Forms& forms = forms_of(operation);
  const auto form = static_cast<size_t>(draw.below(static_cast<int64_t>(forms.size())));
  const bool commas = draw.chance(4);
  const std::string question =
      fmt::format(fmt::runtime(forms[form]), commas ? with_commas(task.a) : std::to_string(task.a),
                  commas ? with_commas(task.b) : std::to_string(task.b));
  std::string thought;
  if (!is_easy(task) || draw.chance(50)) {
    const Slip slip{draw.chance(5) ? static_cast<int>(draw.below(digits_a)) : -1};
    thought = trace_of(task, slip);
  }
  return problem_of(task, question, form < kBareForms, std::move(thought));
}

}  // namespace

std::string_view operation_sign(Operation operation) {
  constexpr std::array<std::string_view, 4> signs = {"+", "-", "*", "/"};
  return signs[static_cast<size_t>(operation)];
}

Problem arithmetic_problem(Operation operation, int digits_a, int digits_b, Draw& draw) {
  HADAL_CHECK(digits_a >= 1 && digits_a <= 8 && digits_b >= 1 && digits_b <= 8, "{} by {} digits",
              digits_a, digits_b);
  const Task task = draw_task(draw, operation, digits_a, digits_b);
  const std::string question = fmt::format("{}{}{}=", task.a, operation_sign(operation), task.b);
  return problem_of(task, question, true, trace_of(task, {}));
}

Problem arithmetic_cell(Operation operation, int digits_a, int digits_b, uint64_t seed,
                        uint64_t index, Part part, bool* found) {
  // Streams of their own, behind the generators'.
  const auto a = static_cast<uint64_t>(digits_a), b = static_cast<uint64_t>(digits_b);
  const uint64_t stream = 1000 + 100 * static_cast<uint64_t>(operation) + 10 * a + b;
  for (uint64_t i = 0; i < 2000; ++i) {
    Draw draw(seed, stream, index, i);
    Problem problem = arithmetic_problem(operation, digits_a, digits_b, draw);
    if (part != Part::all && is_held_out(problem) != (part == Part::held_out)) continue;
    *found = true;
    return problem;
  }
  *found = false;
  return {};
}

Problem make_add(Draw& draw) {
  const auto a = static_cast<int>(draw.between(1, 8)), b = static_cast<int>(draw.between(1, 8));
  return draw_problem(draw, Operation::add, a, b);
}

Problem make_subtract(Draw& draw) {
  auto a = static_cast<int>(draw.between(1, 8)), b = static_cast<int>(draw.between(1, 8));
  if (a < b && draw.chance(70)) std::swap(a, b);  // most results are not negative
  return draw_problem(draw, Operation::subtract, a, b);
}

Problem make_multiply(Draw& draw) {
  const auto a = static_cast<int>(draw.between(1, 4)), b = static_cast<int>(draw.between(1, 4));
  return draw_problem(draw, Operation::multiply, a, b);
}

Problem make_divide(Draw& draw) {
  const auto a = static_cast<int>(draw.between(1, 6)), b = static_cast<int>(draw.between(1, 2));
  return draw_problem(draw, Operation::divide, a, b);
}

Problem make_compare(Draw& draw) {
  const auto digits = static_cast<int>(draw.between(1, 7));
  const int64_t a = draw_number(draw, digits);
  int64_t b = draw_number(draw, draw.chance(30) ? static_cast<int>(draw.between(1, 7)) : digits);
  if (draw.chance(40)) b = a / 100 * 100 + b % 100;  // the same beginning
  const std::string larger = std::to_string(std::max(a, b)),
                    smaller = std::to_string(std::min(a, b));
  const bool wants_larger = draw.chance(60);
  constexpr std::array<const char*, 4> large = {
      "Which is larger, {} or {}?", "Which number is bigger: {} or {}?",
      "What is the greater of {} and {}?", "Is {} or {} more?"};
  constexpr std::array<const char*, 4> small = {
      "Which is smaller, {} or {}?", "Which number is less: {} or {}?",
      "What is the lesser of {} and {}?", "Is {} or {} fewer?"};
  const std::string question =
      fmt::format(fmt::runtime(wants_larger ? draw.pick(large) : draw.pick(small)), a, b);
  const std::string answer = wants_larger ? larger : smaller;
  const std::string reply = a == b            ? "They are equal: both are " + answer + "."
                            : draw.chance(50) ? answer
                            : wants_larger    ? "The larger one is " + answer + "."
                                              : "The smaller one is " + answer + ".";
  const std::string thought = std::max(a, b) < 100 && draw.chance(50) ? "" : compare_trace(a, b);
  return {fmt::format("{}?{}", std::min(a, b), std::max(a, b)), answer,
          one_turn(question, thought, reply)};
}

}  // namespace hadal::data
