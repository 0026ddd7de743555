// Problems and dialogues made by program: endless, seeded, each with its answer.
//
// A generator is a pure function of (seed, index, part). One in a hundred of all problems is held
// out, by a hash of the problem's canonical form (numbers and kind, however it is worded), so that
// nothing on which a model is examined can have been in its training, whatever seed made that.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "data/documents.h"
#include "data/draw.h"
#include "tokenizer/dialogue.h"

namespace hadal::data {

struct Problem {
  std::string canonical;         // what is asked, whatever the wording
  std::string answer;            // what the reply must come to; "" where there is no checking it
  tokenizer::Dialogue dialogue;  // the last message is the reply, with its thought
};

struct Generator {
  std::string_view name;
  std::string_view what;  // one line, for help texts
  Problem (*make)(Draw& draw);
};

std::span<const Generator> generators();
// Throws Error(usage) that lists the names.
const Generator& find_generator(std::string_view name);

bool is_held_out(const Problem& problem);

// The index-th problem of a part. Throws Error(limit) if a generator's problems are so few that
// none of them is held out.
Problem generate(const Generator& generator, uint64_t seed, uint64_t index, Part part);

// Arithmetic of a given size: the cells of the evaluation's grid.
enum class Operation { add, subtract, multiply, divide };
std::string_view operation_sign(Operation operation);
// Operands of exactly so many digits, plainly asked ("12+34="), with a thought.
Problem arithmetic_problem(Operation operation, int digits_a, int digits_b, Draw& draw);
// The same by index and part. `found` is false if no such problem is in the part (few digits).
Problem arithmetic_cell(Operation operation, int digits_a, int digits_b, uint64_t seed,
                        uint64_t index, Part part, bool* found);

// The answer that a reply gives: its last number, or if it has none its last word in small letters.
// Commas inside numbers are left out.
std::string answer_of(std::string_view reply);

// Whether a reply comes to a problem's answer: a number must be its last one, anything else must
// stand at its end. False where there is no checking.
bool is_right(const Problem& problem, std::string_view reply);

// The makers, by file.
Problem make_add(Draw& draw);
Problem make_subtract(Draw& draw);
Problem make_multiply(Draw& draw);
Problem make_divide(Draw& draw);
Problem make_compare(Draw& draw);
Problem make_words(Draw& draw);
Problem make_count(Draw& draw);
Problem make_sort(Draw& draw);
Problem make_date(Draw& draw);
Problem make_text(Draw& draw);
Problem make_chat(Draw& draw);
Problem make_identity(Draw& draw);
Problem make_unknown(Draw& draw);
Problem make_story(Draw& draw);

// A dialogue of one question and its reply.
tokenizer::Dialogue one_turn(std::string question, std::string thought, std::string reply);

}  // namespace hadal::data
