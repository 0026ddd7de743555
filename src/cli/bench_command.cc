#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "cli/interrupt.h"
#include "cli/mtp_option.h"
#include "cli/precision_option.h"
#include "eval/bench.h"
#include "eval/bench_mtp.h"
#include "infer/loaded_model.h"
#include "infer/model_store.h"
#include "kernels/kernels.h"

namespace hadal::cli {
namespace {

struct Options {
  std::string model;
  eval::BenchOptions bench;
  std::optional<int64_t> drafts;  // unset: speculation is not measured
};

double share(double value, double limit) {
  return limit > 0.0 ? value / limit : 0.0;
}

// A row's speeds, and their shares of the limits.
struct Rates {
  double bytes_per_second, operations_per_second, of_read, of_fp32, of_bf16, of_int8;
};

Rates rates(const eval::BenchRow& row, const eval::MachineLimits& limits) {
  using kernels::Product;
  const double bytes = row.per_token.bytes * row.median;
  const double operations = row.per_token.operations * row.median;
  return {bytes,
          operations,
          share(bytes, limits.read_bytes_per_second),
          share(operations, limits.best(Product::fp32)),
          share(operations, limits.best(Product::bf16)),
          share(operations, limits.best(Product::int8))};
}

void print_limits(const eval::MachineLimits& limits) {
  fmt::print("machine: {} threads, memory read {:.1f} GB/s (one thread {:.1f})", limits.threads,
             limits.read_bytes_per_second / 1e9, limits.read_bytes_per_second_one / 1e9);
  for (const eval::Peak& peak : limits.peaks)
    fmt::print(", {} {:.0f} G{}", peak.name, peak.operations_per_second / 1e9,
               eval::rate_unit(peak.product));
  fmt::print("\nkernels: {}\n\n", kernels::active().name);
}

void print_header() {
  fmt::print("{:<8} {:>7} {:>7} {:>6} {:>10} {:>19} {:>10} {:>7} {:>7} {:>9} {:>7} {:>7} {:>7}\n",
             "work", "tokens", "depth", "batch", "tokens/s", "[min .. max]", "MB/token", "GB/s",
             "of read", "GFLOP/s", "of fp32", "of bf16", "of int8");
}

// "63%", or "-" where the machine has no such limit.
std::string percent(double share_of_limit) {
  return share_of_limit > 0.0 ? fmt::format("{:.0f}%", share_of_limit * 100.0) : "-";
}

void print_row(const eval::BenchRow& row, const eval::MachineLimits& limits) {
  const Rates r = rates(row, limits);
  fmt::print(
      "{:<8} {:>7} {:>7} {:>6} {:>10.2f} {:>19} {:>10.2f} {:>7.2f} {:>7} {:>9.1f} {:>7} {:>7} "
      "{:>7}\n",
      row.work, row.tokens, row.depth, row.batch, row.median,
      fmt::format("[{:.2f} .. {:.2f}]", row.lowest, row.highest), row.per_token.bytes / 1e6,
      r.bytes_per_second / 1e9, percent(r.of_read), r.operations_per_second / 1e9,
      percent(r.of_fp32), percent(r.of_bf16), percent(r.of_int8));
  std::fflush(stdout);
}

void print_row(const eval::MtpRow& row) {
  fmt::print(
      "speculation (--mtp {}), {} sequence{}: {:.2f} tokens/s, {:.2f} without = {:.2f}x; {} of {} "
      "drafts accepted ({:.0f}%)\n",
      mtp_name(row.drafts), row.batch, row.batch == 1 ? "" : "s", row.drafting, row.plain,
      row.ratio(), row.accepted, row.drafted, row.acceptance() * 100.0);
  std::fflush(stdout);
}

nlohmann::json to_json(const eval::MtpRow& row) {
  return {{"mtp", mtp_name(row.drafts)},
          {"batch", row.batch},
          {"tokens_per_second", row.drafting},
          {"tokens_per_second_plain", row.plain},
          {"ratio", row.ratio()},
          {"drafted_tokens", row.drafted},
          {"accepted_tokens", row.accepted},
          {"acceptance", row.acceptance()}};
}

nlohmann::json to_json(const eval::BenchRow& row, const eval::MachineLimits& limits) {
  const Rates r = rates(row, limits);
  return {{"work", row.work},
          {"tokens", row.tokens},
          {"depth", row.depth},
          {"batch", row.batch},
          {"tokens_per_second", row.median},
          {"tokens_per_second_min", row.lowest},
          {"tokens_per_second_max", row.highest},
          {"repetitions", row.tokens_per_second},
          {"bytes_per_token", row.per_token.bytes},
          {"operations_per_token", row.per_token.operations},
          {"bytes_per_second", r.bytes_per_second},
          {"operations_per_second", r.operations_per_second},
          {"share_of_read", r.of_read},
          {"share_of_fp32", r.of_fp32},
          {"share_of_bf16", r.of_bf16},
          {"share_of_int8", r.of_int8},
          {"anonymous_bytes", row.anonymous_bytes}};
}

nlohmann::json to_json(const eval::MachineLimits& limits) {
  nlohmann::json peaks = nlohmann::json::array();
  for (const eval::Peak& peak : limits.peaks)
    peaks.push_back({{"name", peak.name},
                     {"instruction_set", peak.instruction_set},
                     {"product", eval::product_name(peak.product)},
                     {"operations_per_second", peak.operations_per_second}});
  return {{"cpu", eval::machine_facts().cpu},
          {"threads", limits.threads},
          {"read_bytes_per_second", limits.read_bytes_per_second},
          {"read_bytes_per_second_one_thread", limits.read_bytes_per_second_one},
          {"peaks", peaks}};
}

void bench(const Options& options, const Globals& globals) {
  const infer::LoadedModel loaded = infer::open_model(infer::find_model(options.model));
  if (options.drafts && loaded.model->mtp.empty())  // before minutes of other measurements
    fail(ErrorKind::usage, "{} has no multi-token prediction layer to speculate by", loaded.name);
  ThreadPool pool(globals.threads);
  eval::MachineLimits limits = eval::measure_machine(pool);
  const eval::BenchOptions& wanted = options.bench;
  if (!globals.json) {
    print_limits(limits);
    fmt::print("{}: {} of weights, precision {}\n", loaded.name,
               format_bytes(static_cast<double>(loaded.model->file_bytes)),
               precision_name(wanted.precision));
    print_header();
  }
  const auto rows = eval::run_bench(*loaded.model, wanted, pool, [&](const eval::BenchRow& row) {
    check_interrupt();
    if (!globals.json) print_row(row, limits);
  });
  std::vector<eval::MtpRow> mtp_rows;
  if (options.drafts) {
    mtp_rows = eval::bench_mtp(loaded, wanted, *options.drafts, pool, [&](const eval::MtpRow& row) {
      check_interrupt();
      if (!globals.json) print_row(row);
    });
  }
  const eval::ProcessMemory memory = eval::process_memory();
  int64_t anonymous = 0;
  for (const eval::BenchRow& row : rows) anonymous = std::max(anonymous, row.anonymous_bytes);
  if (globals.json) {
    limits.raise_to(eval::measure_machine(pool));
    nlohmann::json out = {{"machine", to_json(limits)},
                          {"kernels", kernels::active().name},
                          {"model", loaded.name},
                          {"weight_bytes", loaded.model->file_bytes},
                          {"precision", precision_name(wanted.precision)},
                          {"rows", nlohmann::json::array()},
                          {"peak_resident_bytes", memory.peak_resident},
                          {"anonymous_bytes", anonymous}};
    for (const eval::BenchRow& row : rows) out["rows"].push_back(to_json(row, limits));
    for (const eval::MtpRow& row : mtp_rows) out["speculation"].push_back(to_json(row));
    fmt::print("{}\n", out.dump(2));
    return;
  }
  fmt::print("\npeak memory {} with the mapped file, {} of it not mapped from the file\n",
             format_bytes(static_cast<double>(memory.peak_resident)),
             format_bytes(static_cast<double>(anonymous)));
}

constexpr const char* help_end =
    "Tokens per second are medians over the repetitions. MB/token is what a token must read at "
    "the\n"
    "least (weights once per step, the cache of its sequence); \"of read\" is that rate as a "
    "share\n"
    "of the memory bandwidth measured in the same run, \"of fp32\", \"of bf16\" and \"of int8\" "
    "the\n"
    "arithmetic as shares of the best rates of such products. Token ids are random, so every "
    "expert is equally likely.\n\n"
    "Examples:\n"
    "  hadal bench model.gguf                       prompt of 512, then 64 generated tokens\n"
    "  hadal bench model.gguf -p 2048 -d 0,4096     at two depths\n"
    "  hadal bench model.gguf -p 0 -b 1,8,16        generation of several sequences together\n"
    "  hadal bench model.gguf -p 0 -n 256 --mtp auto  what the MTP layer's drafts gain\n";

}  // namespace

void add_bench(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, globals, "bench", "Measure speed against the machine's limits", help_end,
                  [options, &globals] {
                    Options o = *options;
                    std::erase(o.bench.prompts, 0);
                    std::erase(o.bench.batches, 0);
                    bench(o, globals);
                  });
  command->add_option("MODEL", options->model, "Model file, folder or name");
  command->add_option("-p,--prompt", options->bench.prompts, "Prompt lengths; 0: none")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("-n,--generate", options->bench.generate, "Tokens to generate per sequence")
      ->capture_default_str();
  command->add_option("-d,--depth", options->bench.depths, "Tokens in the cache before")
      ->delimiter(',')
      ->capture_default_str();
  command
      ->add_option("-b,--batch", options->bench.batches,
                   "Sequences that generate together; 0: no generation")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("-r,--repetitions", options->bench.repetitions, "Repetitions of each row")
      ->capture_default_str();
  command->add_option("--chunk", options->bench.chunk, "Prompt tokens per forward call")
      ->capture_default_str();
  add_mtp(command, &options->drafts)
      ->description("Measure speculation, too: drafts a step, or as many as pay");
  add_precision(command, &options->bench.precision);
  add_cache_type(command, &options->bench.cache);
  add_threads(command, globals);
  add_json(command, globals);
}

}  // namespace hadal::cli
