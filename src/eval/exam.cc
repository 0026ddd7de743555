#include "eval/exam.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "infer/chat.h"
#include "tokenizer/stream_parser.h"

namespace hadal::eval {
namespace {

using data::Operation;
using data::Part;
using data::Problem;

// Different problems of a cell, at most `size.problems`.
std::vector<Problem> draw_cell(Operation operation, int a, int b, Part part, const ExamSize& size) {
  std::vector<Problem> problems;
  std::set<std::string> known;
  int64_t repeated = 0;  // since the last new one
  for (uint64_t i = 0; std::ssize(problems) < size.problems && repeated < 40; ++i) {
    bool found = false;
    Problem problem = data::arithmetic_cell(operation, a, b, size.seed, i, part, &found);
    const bool is_new = found && known.insert(problem.canonical).second;
    repeated = is_new ? 0 : repeated + 1;
    if (is_new) problems.push_back(std::move(problem));
  }
  return problems;
}

ExamCell cell_of(Operation operation, int a, int b, const ExamSize& size) {
  constexpr int64_t fewest = 20;  // of which a share says something
  ExamCell cell{"arithmetic", fmt::format("{}{}{}", a, data::operation_sign(operation), b), {}};
  cell.problems = draw_cell(operation, a, b, Part::held_out, size);
  if (std::ssize(cell.problems) < std::min(fewest, size.problems)) {
    cell.held_out = false;
    cell.problems = draw_cell(operation, a, b, Part::all, size);
  }
  return cell;
}

// A request under way.
struct Pending {
  const Problem* problem;
  tokenizer::StreamParser parser;
  std::string content;
  int64_t tokens = 0;
};

void take_events(Pending& pending, const std::vector<tokenizer::StreamEvent>& events) {
  for (const tokenizer::StreamEvent& event : events) {
    if (event.kind == tokenizer::StreamEvent::Kind::content) pending.content += event.text;
  }
}

void grade(Pending& pending, infer::FinishReason reason, const Problem** first_wrong,
           ExamResult& result) {
  take_events(pending, pending.parser.finish());
  ++result.asked;
  result.tokens += static_cast<double>(pending.tokens);
  const bool is_done = reason == infer::FinishReason::stop;
  if (!is_done) ++result.unfinished;
  if (is_done && data::is_right(*pending.problem, pending.content)) {
    ++result.right;
  } else if (result.failure.empty() || pending.problem < *first_wrong) {  // whichever ends first
    *first_wrong = pending.problem;
    result.failure =
        fmt::format("{} -> {}, not \"{}\"{}", pending.problem->dialogue.messages.front().content,
                    pending.problem->answer, pending.content, is_done ? "" : " (cut off)");
  }
}

}  // namespace

Share wilson(int64_t right, int64_t asked) {
  if (asked == 0) return {};
  constexpr double z = 1.959963984540054;
  const auto n = static_cast<double>(asked);
  const double p = static_cast<double>(right) / n;
  const double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  return {p, std::max(0.0, middle - half), std::min(1.0, middle + half)};
}

std::vector<ExamCell> arithmetic_cells(const ExamSize& size) {
  std::vector<ExamCell> cells;
  for (const Operation operation : {Operation::add, Operation::subtract}) {
    for (int digits = 1; digits <= 6; ++digits) {
      cells.push_back(cell_of(operation, digits, digits, size));
    }
  }
  for (int a = 1; a <= 4; ++a) {
    for (int b = 1; b <= a; ++b) cells.push_back(cell_of(Operation::multiply, a, b, size));
  }
  for (int b = 1; b <= 2; ++b) {
    for (int a = b; a <= 6; ++a) cells.push_back(cell_of(Operation::divide, a, b, size));
  }
  return cells;
}

std::vector<ExamCell> word_cells(const ExamSize& size) {
  const data::Generator& words = data::find_generator("words");
  std::map<std::string, ExamCell> kinds;
  // A quarter are chains; the other nine kinds share three quarters.
  const auto draws = static_cast<uint64_t>(size.problems) * 24;
  for (uint64_t i = 0; i < draws; ++i) {
    Problem problem = data::generate(words, size.seed, i, Part::held_out);
    const std::string kind = problem.canonical.substr(0, problem.canonical.find(' '));
    ExamCell& cell = kinds.try_emplace(kind, ExamCell{"words", kind, {}}).first->second;
    if (std::ssize(cell.problems) < size.problems) cell.problems.push_back(std::move(problem));
  }
  std::vector<ExamCell> cells;
  for (auto& [kind, cell] : kinds) cells.push_back(std::move(cell));
  return cells;
}

std::vector<ExamCell> skill_cells(const ExamSize& size) {
  std::vector<ExamCell> cells;
  for (const char* name : {"compare", "count", "sort", "date", "text", "story"}) {
    ExamCell cell{"skills", name, {}};
    const data::Generator& generator = data::find_generator(name);
    for (uint64_t i = 0; std::ssize(cell.problems) < size.problems; ++i) {
      Problem problem = data::generate(generator, size.seed, i, Part::held_out);
      if (!problem.answer.empty()) cell.problems.push_back(std::move(problem));
    }
    cells.push_back(std::move(cell));
  }
  return cells;
}

ExamResult examine(infer::Engine& engine, const ExamCell& cell, const ExamOptions& options,
                   const std::function<void(int64_t)>& progress) {
  const tokenizer::Tokenizer& tokenizer = infer::require_tokenizer(engine.model());
  ExamResult result{cell.suite, cell.name, cell.held_out};
  tokenizer::EncodeOptions encode;
  encode.thinking = options.thinking;
  std::unordered_map<uint64_t, Pending> pending;
  const Problem* first_wrong = nullptr;
  for (const Problem& problem : cell.problems) {
    tokenizer::Dialogue dialogue = problem.dialogue;
    dialogue.messages.pop_back();
    const bool inside = tokenizer::starts_thinking(options.generation, dialogue, encode);
    infer::Request request;
    request.prompt = tokenizer::encode_dialogue(tokenizer, options.generation, dialogue, encode);
    request.sampling.temperature = 0;
    request.max_tokens = options.max_tokens;
    request.thinking = infer::thinking_markers(tokenizer, options.generation, inside);
    const uint64_t id = engine.submit(std::move(request));
    pending.emplace(id, Pending{&problem, {tokenizer, options.generation, inside}, {}});
  }
  while (!engine.idle()) {
    for (const infer::Event& event : engine.step()) {
      const auto found = pending.find(event.id);
      if (found == pending.end()) continue;
      if (event.kind == infer::Event::Kind::token) {
        ++found->second.tokens;
        take_events(found->second, found->second.parser.push(event.token));
      } else if (event.kind == infer::Event::Kind::finish) {
        if (event.reason == infer::FinishReason::error) {
          fail(ErrorKind::unsupported, "the model could not answer: {}", event.text);
        }
        grade(found->second, event.reason, &first_wrong, result);
        pending.erase(found);
        if (progress) progress(result.asked);
      }
    }
  }
  if (result.asked > 0) result.tokens /= static_cast<double>(result.asked);
  return result;
}

}  // namespace hadal::eval
