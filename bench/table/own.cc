#include "own.h"

#include <algorithm>
#include <filesystem>

#include <fmt/core.h>

#include "process.h"
#include "statistics.h"

namespace hadal::bench {
namespace {

using nlohmann::json;

std::string path_of(const Work& work, const OwnOptions& options) {
  return options.folder + "/" + std::string(work.model);
}

std::string last_of(const std::string& text) {
  return text.substr(text.size() - std::min<size_t>(300, text.size()));
}

double best_peak(const json& machine, std::string_view product) {
  double best = 0.0;
  for (const json& peak : machine.at("peaks"))
    if (peak.at("product") == product)
      best = std::max(best, peak.at("operations_per_second").get<double>());
  return best;
}

// What `hadal bench` printed, or an error in `error`.
json run_bench(const Work& work, const OwnOptions& options, std::string& error) {
  const bool prompt = work.kind == Kind::prefill || work.kind == Kind::memory;
  const std::string tokens = std::to_string(work.tokens);
  std::vector<std::string> command = {options.program, "bench", path_of(work, options), "--json"};
  if (prompt) {
    command.insert(command.end(), {"-p", tokens, "-b", "0"});
  } else {
    command.insert(command.end(), {"-p", "0", "-n", tokens, "-b", std::to_string(work.batch)});
  }
  const int repetitions = work.kind == Kind::memory ? 1 : options.repetitions;
  command.insert(command.end(),
                 {"-d", std::to_string(work.depth), "-r", std::to_string(repetitions)});
  if (options.threads > 0)
    command.insert(command.end(), {"--threads", std::to_string(options.threads)});
  const Finished done = run_process(command);
  json out = json::parse(done.out, nullptr, false);
  if (done.code != 0 || !out.is_object() || out["rows"].size() != 1)
    error = fmt::format("hadal bench ended with {}: {}", done.code, last_of(done.err));
  return out;
}

OwnSamples from_bench(const Work& work, const OwnOptions& options) {
  OwnSamples own;
  const json out = run_bench(work, options, own.error);
  if (!own.error.empty()) return own;
  const json& row = out["rows"][0];
  own.machine = out["machine"];
  own.kernels = out["kernels"];
  if (work.kind == Kind::memory) {
    own.samples = {out["anonymous_bytes"].get<double>()};
    return own;
  }
  own.samples = row["repetitions"].get<std::vector<double>>();
  const Ceiling ceiling = ceiling_of(work.kind, row, own.machine, model_file(work.model).integer);
  own.ceiling = ceiling.tokens_per_second;
  own.limit = ceiling.limit;
  return own;
}

// Quiet and disturbed by turns, so that a drift of the machine meets both.
OwnSamples disturbed(const Work& work, const OwnOptions& options) {
  OwnSamples own = from_bench(work, options);
  if (!own.error.empty()) return own;
  const double quiet = median(own.samples);
  const BusyProcess busy;
  const OwnSamples shaken = from_bench(work, options);
  own.error = shaken.error;
  own.samples.clear();
  for (const double rate : shaken.samples) own.samples.push_back(rate / quiet);
  own.ceiling = 1.0;
  own.limit = fmt::format("undisturbed {:.1f} t/s", quiet);
  return own;
}

// The whole program for one token: it ends right after.
OwnSamples first_token(const Work& work, const OwnOptions& options) {
  OwnSamples own;
  // Begin of sentence, user's and assistant's mark, and one token a byte.
  const std::string prompt(static_cast<size_t>(work.tokens - 3), 'a');
  std::vector<std::string> command = {options.program, "run", path_of(work, options),
                                      prompt,          "-n",  "1",
                                      "--temperature", "0",   "--json"};
  if (options.threads > 0)
    command.insert(command.end(), {"--threads", std::to_string(options.threads)});
  for (int i = 0; i < options.repetitions; ++i) {
    const Finished done = run_process(command);
    const json out = json::parse(done.out, nullptr, false);
    if (done.code != 0 || !out.is_object()) {
      own.error = fmt::format("hadal run ended with {}: {}", done.code, last_of(done.err));
      return own;
    }
    own.samples.push_back(done.seconds);
  }
  return own;
}

}  // namespace

Ceiling ceiling_of(Kind kind, const json& row, const json& machine, bool integer) {
  const double read = machine.at("read_bytes_per_second").get<double>();
  const double by_memory = read / row.at("bytes_per_token").get<double>();
  const double tiles = best_peak(machine, "bf16");
  const char* product = tiles > 0.0 ? "bf16" : integer ? "int8" : "fp32";
  const double peak = best_peak(machine, product);
  const double by_products = peak / row.at("operations_per_token").get<double>();
  if (kind != Kind::prefill && by_memory <= by_products)
    return {by_memory, fmt::format("read {:.1f} GB/s", read / 1e9)};
  return {by_products, fmt::format("{} {:.2f} T/s", product, peak / 1e12)};
}

OwnSamples measure_own(const Work& work, const OwnOptions& options) {
  switch (work.kind) {
    case Kind::first_token:
      return first_token(work, options);
    case Kind::disturbed:
      return disturbed(work, options);
    default:
      return from_bench(work, options);
  }
}

std::string make_model(const Work& work, const OwnOptions& options) {
  const std::string path = path_of(work, options);
  std::error_code error;
  if (std::filesystem::exists(path, error)) return "";
  const ModelFile& file = model_file(work.model);
  fmt::print(stderr, "writing {}\n", path);
  const Finished done = run_process({options.program, "synth", std::string(file.shape), "--type",
                                     std::string(file.type), "-o", path});
  return done.code == 0 ? "" : last_of(done.err);
}

}  // namespace hadal::bench
