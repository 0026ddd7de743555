// Exams: intervals, what is asked, and that answers do not depend on how many are written at once.
#include "eval/exam.h"

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "eval/prose.h"
#include "infer/loaded_model.h"

namespace hadal::eval {
namespace {

TEST(Wilson, GivesThePublishedIntervals) {
  const Share all = wilson(1000, 1000);
  EXPECT_NEAR(all.low, 0.99617, 1e-5);
  EXPECT_NEAR(all.high, 1.0, 1e-9);
  const Share some = wilson(81, 263);  // Newcombe 1998, table I
  EXPECT_NEAR(some.low, 0.2553, 1e-4);
  EXPECT_NEAR(some.high, 0.3662, 1e-4);
  EXPECT_EQ(wilson(0, 0).high, 1.0);
}

TEST(Exam, AsksWhatIsHeldOutAndNothingTwice) {
  const ExamSize size{25, 3};
  std::set<std::string> names;
  for (const auto& cells : {arithmetic_cells(size), word_cells(size), skill_cells(size)}) {
    for (const ExamCell& cell : cells) {
      EXPECT_TRUE(names.insert(cell.suite + cell.name).second);
      EXPECT_FALSE(cell.problems.empty()) << cell.name;
      EXPECT_LE(cell.problems.size(), 25u);
      std::set<std::string> canonical;
      for (const data::Problem& problem : cell.problems) {
        if (cell.suite == "arithmetic") {
          EXPECT_TRUE(canonical.insert(problem.canonical).second) << problem.canonical;
        }
        EXPECT_TRUE(!cell.held_out || data::is_held_out(problem)) << problem.canonical;
        EXPECT_FALSE(problem.answer.empty());
      }
      if (cell.name == "6+6" || cell.name == "4*4" || cell.name == "6/2") {
        EXPECT_TRUE(cell.held_out);
        EXPECT_EQ(cell.problems.size(), 25u);
      }
    }
  }
}

infer::LoadedModel seed_model() {
  return infer::open_model(std::string(HADAL_SOURCE_DIR) + "/models/seed-q8_0.gguf");
}

TEST(Exam, GradesTheSameHoweverManyAtOnce) {
  const infer::LoadedModel model = seed_model();
  ThreadPool pool(2);
  ExamCell cell{"test", "small", {}};
  for (uint64_t i = 0; i < 12; ++i) {
    data::Draw draw(5, 1, i);
    cell.problems.push_back(data::arithmetic_problem(data::Operation::add, 1, 1, draw));
  }
  ExamOptions options;
  options.generation = tokenizer::Generation::v3;
  options.thinking.reset();
  options.max_tokens = 24;
  std::vector<ExamResult> results;
  for (const int64_t batch : {1, 12}) {
    infer::EngineOptions engine_options;
    engine_options.sequences_max = batch;
    engine_options.cache_tokens = batch * 1024;
    infer::Engine engine(model, pool, engine_options);
    results.push_back(examine(engine, cell, options));
  }
  EXPECT_EQ(results[0].asked, 12);
  EXPECT_GT(results[0].tokens, 0);
  EXPECT_EQ(results[0].right, results[1].right);
  EXPECT_EQ(results[0].tokens, results[1].tokens);
  EXPECT_EQ(results[0].failure, results[1].failure);
  EXPECT_EQ(results[0].right < 12, !results[0].failure.empty());
}

TEST(Prose, CountsBitsOfTheText) {
  const infer::LoadedModel model = seed_model();
  ThreadPool pool(2);
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("hadal-prose-" + std::to_string(::getpid()) + ".jsonl"))
                               .string();
  const std::string text = "The dog ran to the house. It was very happy to see the boy again.";
  std::ofstream(path) << "{\"text\": \"" << text << "\"}\n{\"text\": \"\"}\n";
  const Prose prose = measure_prose(model, path, {data::Part::all, 1 << 20}, pool);
  std::filesystem::remove(path);
  EXPECT_EQ(prose.documents, 1);
  EXPECT_EQ(prose.bytes, static_cast<int64_t>(text.size()));
  EXPECT_EQ(prose.tokens, static_cast<int64_t>(model.tokenizer->encode(text).size()));
  EXPECT_GT(prose.bits_per_byte(), 0.5);
  EXPECT_LT(prose.bits_per_byte(), 4.0);
}

}  // namespace
}  // namespace hadal::eval
