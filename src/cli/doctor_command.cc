#include <cstdlib>
#include <memory>
#include <string>

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <sys/statvfs.h>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "eval/machine.h"
#include "kernels/kernels.h"

namespace hadal::cli {
namespace {

// Published models in a usual format: what a newcomer asks about first. Computed from the published
// shapes at each format's bits per weight; a token reads no input embedding, and of the experts
// only those that it is sent to.
struct Candidate {
  const char* name;
  double file_bytes;
  double bytes_per_token;  // read by one generated token at an empty context
};

constexpr Candidate candidates[] = {
    {"DeepSeek-R1-Distill-Qwen-1.5B Q8_0", 1.9e9, 1.65e9},
    {"DeepSeek-R1-Distill-Qwen-7B Q4_K_M", 4.7e9, 4.4e9},
    {"DeepSeek-V2-Lite Q4_K_M", 10.4e9, 1.61e9},
    {"DeepSeek-V2-Lite Q8_0", 16.7e9, 2.62e9},
    {"DeepSeek-R1-Distill-Qwen-32B Q4_K_M", 19.9e9, 19.4e9},
    {"DeepSeek-V3 / R1 671B Q4_K_M", 404e9, 22e9},
};

// Above the file: cache, buffers, system.
constexpr double memory_margin = 1.5e9;

void print_text(const eval::MachineFacts& facts, const eval::MachineLimits& limits) {
  fmt::print("processor      {}\n", facts.cpu);
  fmt::print("instructions   {}\n", fmt::join(facts.features, " "));
  fmt::print(
      "kernels        {} ({})\n", kernels::active().name,
      std::getenv("HADAL_ISA") != nullptr ? "forced by HADAL_ISA" : "the best that run here");
  fmt::print("threads        {}\n", limits.threads);
  fmt::print("memory         {} in all, {} free\n",
             format_bytes(static_cast<double>(facts.memory_total)),
             format_bytes(static_cast<double>(facts.memory_available)));
  fmt::print("memory read    {:.1f} GB/s with all threads, {:.1f} GB/s with one\n",
             limits.read_bytes_per_second / 1e9, limits.read_bytes_per_second_one / 1e9);
  for (const eval::Peak& peak : limits.peaks)
    fmt::print("{:<14} {:.0f} G{} with all threads\n", peak.name, peak.operations_per_second / 1e9,
               eval::rate_unit(peak.product));
  // One runnable program for half of the threads already spoils the figures.
  if (facts.load > 0.5 * limits.threads)
    fmt::print("               other programs are busy (load {:.1f}): the machine can do more\n",
               facts.load);
  fmt::print("\nwhat fits here (tokens/s: the most that this memory bandwidth allows)\n");
  for (const Candidate& c : candidates) {
    const bool fits = c.file_bytes + memory_margin < static_cast<double>(facts.memory_total);
    fmt::print("  {} {:<38} {:>9}  {}\n", fits ? "yes" : "no ", c.name, format_bytes(c.file_bytes),
               fits ? fmt::format("up to {:.1f} tokens/s",
                                  limits.read_bytes_per_second / c.bytes_per_token)
                    : "needs more memory");
  }
}

void doctor(const Globals& globals) {
  ThreadPool pool(globals.threads);
  const eval::MachineFacts facts = eval::machine_facts();
  const eval::MachineLimits limits = eval::measure_machine(pool);
  if (!globals.json) {
    print_text(facts, limits);
    return;
  }
  nlohmann::json out = {{"cpu", facts.cpu},
                        {"features", facts.features},
                        {"kernels", kernels::active().name},
                        {"threads", limits.threads},
                        {"memory_total_bytes", facts.memory_total},
                        {"memory_available_bytes", facts.memory_available},
                        {"load", facts.load},
                        {"read_bytes_per_second", limits.read_bytes_per_second},
                        {"read_bytes_per_second_one_thread", limits.read_bytes_per_second_one},
                        {"peaks", nlohmann::json::array()},
                        {"models", nlohmann::json::array()}};
  for (const eval::Peak& peak : limits.peaks)
    out["peaks"].push_back({{"name", peak.name},
                            {"instruction_set", peak.instruction_set},
                            {"product", eval::product_name(peak.product)},
                            {"operations_per_second", peak.operations_per_second}});
  for (const Candidate& c : candidates)
    out["models"].push_back(
        {{"name", c.name},
         {"file_bytes", c.file_bytes},
         {"fits", c.file_bytes + memory_margin < static_cast<double>(facts.memory_total)},
         {"tokens_per_second_max", limits.read_bytes_per_second / c.bytes_per_token}});
  fmt::print("{}\n", out.dump(2));
}

constexpr const char* help_end =
    "Measures for a few seconds: close other programs for figures that mean something.\n\n"
    "Examples:\n"
    "  hadal doctor\n"
    "  HADAL_ISA=ref hadal doctor      what the portable kernels would be\n";

}  // namespace

void add_doctor(CLI::App& app, Globals& globals) {
  CLI::App* command =
      add_command(app, globals, "doctor", "Say what this machine can do, and which models fit",
                  help_end, [&globals] { doctor(globals); });
  add_threads(command, globals);
  add_json(command, globals);
}

}  // namespace hadal::cli
