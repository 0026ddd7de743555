// hadal eval: what a small model can do, by kinds of problems that it has not been trained on.
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "eval/exam.h"
#include "eval/prose.h"
#include "infer/loaded_model.h"
#include "infer/model_store.h"

namespace hadal::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string model, part = "held-out";
  std::vector<std::string> suites, prose;
  int64_t problems = 200, batch = 64, max_tokens = -1, bytes_max = 1 << 20;
  uint64_t seed = 1;
  bool no_think = false, failures = false;
};

std::vector<eval::ExamCell> cells_of(const Options& options) {
  const eval::ExamSize size{options.problems, options.seed};
  std::vector<eval::ExamCell> cells;
  const auto append = [&](std::vector<eval::ExamCell> more) {
    for (eval::ExamCell& cell : more) cells.push_back(std::move(cell));
  };
  for (const std::string& suite : options.suites) {
    if (suite == "arithmetic") {
      append(eval::arithmetic_cells(size));
    } else if (suite == "words") {
      append(eval::word_cells(size));
    } else if (suite == "skills") {
      append(eval::skill_cells(size));
    } else if (suite != "none") {
      fail(ErrorKind::usage, "unknown suite '{}': arithmetic, words, skills or none", suite);
    }
  }
  return cells;
}

Json result_json(const eval::ExamResult& result) {
  const eval::Share share = eval::wilson(result.right, result.asked);
  return {{"suite", result.suite},   {"name", result.name},      {"held_out", result.held_out},
          {"asked", result.asked},   {"right", result.right},    {"share", share.value},
          {"low", share.low},        {"high", share.high},       {"unfinished", result.unfinished},
          {"tokens", result.tokens}, {"failure", result.failure}};
}

void print_result(const eval::ExamResult& result, bool failures) {
  const eval::Share share = eval::wilson(result.right, result.asked);
  fmt::print("{:<11} {:<11} {:>5}/{:<5} {:6.2f}%  {:6.2f} to {:6.2f}%  {:5.0f} tokens{}{}\n",
             result.suite, result.name, result.right, result.asked, share.value * 100,
             share.low * 100, share.high * 100, result.tokens,
             result.unfinished > 0 ? fmt::format("  {} cut off", result.unfinished) : "",
             result.held_out ? "" : "  (none held out)");
  if (failures && !result.failure.empty()) fmt::print("    {}\n", result.failure);
}

std::vector<eval::ExamResult> examine_all(const Options& options, const Globals& globals,
                                          const infer::LoadedModel& loaded, ThreadPool& pool) {
  const std::vector<eval::ExamCell> cells = cells_of(options);
  if (cells.empty()) return {};
  infer::EngineOptions engine_options;
  engine_options.sequences_max = options.batch;
  engine_options.cache_tokens = options.batch * loaded.model->config.context_length;
  engine_options.drafts = 0;  // full batches gain nothing from them
  engine_options.interrupted = interrupted;
  infer::Engine engine(loaded, pool, engine_options);
  eval::ExamOptions exam;
  exam.generation = infer::require_style(loaded).generation;
  const auto support = tokenizer::thinking_support(exam.generation);
  exam.thinking.reset();
  if (support == tokenizer::ThinkingSupport::optional_default_off ||
      support == tokenizer::ThinkingSupport::optional_default_on) {
    exam.thinking = !options.no_think;
  }
  exam.max_tokens = options.max_tokens;
  uint64_t total = 0, before = 0;
  for (const eval::ExamCell& cell : cells) total += cell.problems.size();
  Progress bar("problems", total, ProgressUnit::items);
  std::vector<eval::ExamResult> results;
  for (const eval::ExamCell& cell : cells) {
    results.push_back(eval::examine(engine, cell, exam, [&](int64_t done) {
      check_interrupt();
      bar.update(before + static_cast<uint64_t>(done));
    }));
    before += cell.problems.size();
    if (!globals.json) {
      bar.finish();
      print_result(results.back(), options.failures);
    }
  }
  bar.finish();
  return results;
}

void run(const Options& options, const Globals& globals) {
  const infer::LoadedModel loaded = infer::open_model(infer::find_model(options.model));
  ThreadPool pool(globals.threads);
  Json json = {{"model", loaded.name}, {"seed", options.seed}, {"thinking", !options.no_think}};
  json["exam"] = Json::array();
  for (const eval::ExamResult& result : examine_all(options, globals, loaded, pool)) {
    json["exam"].push_back(result_json(result));
  }
  json["prose"] = Json::array();
  const eval::ProseOptions how{data::parse_part(options.part), options.bytes_max};
  for (const std::string& path : options.prose) {
    Progress bar("prose", static_cast<uint64_t>(options.bytes_max), ProgressUnit::bytes);
    const eval::Prose prose = eval::measure_prose(loaded, path, how, pool, [&](int64_t bytes) {
      check_interrupt();
      bar.update(static_cast<uint64_t>(bytes));
    });
    bar.finish();
    json["prose"].push_back({{"file", path},
                             {"documents", prose.documents},
                             {"bytes", prose.bytes},
                             {"tokens", prose.tokens},
                             {"bits_per_byte", prose.bits_per_byte()}});
    if (!globals.json) {
      fmt::print("prose       {:.4f} bits per byte  {} documents, {}  {}\n", prose.bits_per_byte(),
                 prose.documents, format_bytes(static_cast<double>(prose.bytes)), path);
    }
  }
  if (globals.json) fmt::print("{}\n", json.dump(2));
}

constexpr const char* help_end =
    "Problems are made by the generators of 'hadal data' from their held-out part, answered\n"
    "greedily, many at once. Shares come with their 95% intervals (Wilson). Sums of one digit are\n"
    "too few to hold any out; their lines say so.\n\n"
    "Examples:\n"
    "  hadal eval nano.gguf                            200 problems a line\n"
    "  hadal eval nano.gguf -n 1000 --suite arithmetic --json\n"
    "  hadal eval nano.gguf --suite none --prose books.jsonl.zst\n";

}  // namespace

void add_eval(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  options->suites = {"arithmetic", "words", "skills"};
  CLI::App* command =
      add_command(app, globals, "eval", "Examine a model on problems it has not seen", help_end,
                  [options, &globals] { run(*options, globals); });
  command->add_option("MODEL", options->model, "Model file, folder or name")->required();
  command->add_option("--suite", options->suites, "arithmetic, words, skills (all), or none");
  command->add_option("-n,--problems", options->problems, "Problems of a line (200)")
      ->check(CLI::Range(1, 10000));
  command->add_option("--seed", options->seed, "Of the problems (1)");
  command->add_option("--batch", options->batch, "Answers written at once (64)")
      ->check(CLI::Range(1, 1024));
  command->add_option("--max-tokens", options->max_tokens, "The longest answer (the context)")
      ->check(CLI::PositiveNumber);
  command->add_flag("--no-think", options->no_think, "Without thinking, where the model can");
  command->add_flag("--failures", options->failures, "Show the first wrong answer of each line");
  command->add_option("--prose", options->prose, "Files of text: bits per byte");
  command->add_option("--part", options->part, "Of the prose: held-out (default), train or all");
  command->add_option("--bytes", options->bytes_max, "Of the prose, at most (1 MiB)")
      ->check(CLI::PositiveNumber);
  add_threads(command, globals);
  add_json(command, globals);
}

}  // namespace hadal::cli
