// The server under load, by a client of our own: the table of docs/performance.md, "Serving".
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include "scenario.h"

namespace hadal::bench {
namespace {

struct Options {
  Setup setup;
  std::vector<std::string> only;
  std::string json, soak;
  bool is_short = false, markdown = false;
};

struct Scenario {
  const char* name;
  std::function<Row(const Setup&)> measure;
};

const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> all = {
      {"idle", [](const Setup& setup) { return idle_streams(setup, false); }},
      {"idle-tls", [](const Setup& setup) { return idle_streams(setup, true); }},
      {"deaf", deaf_clients},
      {"leave", leavers},
      {"together", together},
      {"stall", stall},
      {"livez", livez},
      {"soak", soak}};
  return all;
}

// For a loaded machine of two cores, and within seconds: limits are wide, faults still show.
void shorten(Scale& scale) {
  scale.idle = 400;
  scale.idle_mib = 12;
  scale.idle_tls_mib = 60;
  scale.deaf = 40;
  scale.write_timeout_s = 3;
  scale.cut_s = 60;
  scale.tokens = 300;
  scale.repeats = 1;
  scale.together = 1.2;
  scale.stall = 12;
  scale.prefill_s = 2;
  scale.livez_ms = 500;
  scale.soak_s = 10;
  scale.soak_mib = 64;
}

// "90", "10m", "2h": seconds; negative for what is no duration.
double duration_s(const std::string& text) {
  size_t end = 0;
  double value = -1;
  try {
    value = std::stod(text, &end);
  } catch (const std::exception&) {
    return -1;
  }
  const std::string unit = text.substr(end);
  if (unit.empty() || unit == "s") return value;
  if (unit == "m") return value * 60;
  return unit == "h" ? value * 3600 : -1;
}

std::string bundled_model() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(HADAL_SOURCE_DIR "/models", ignored))
    if (entry.path().extension() == ".gguf") return entry.path();
  return "";
}

void print(const Row& row, bool markdown) {
  if (markdown)
    fmt::print("| {} | {} | {} | {} |\n", row.work, row.target, row.measured,
               row.passed ? "yes" : "no");
  else
    fmt::print("{:4}  {}\n      target: {}\n      {}\n", row.passed ? "ok" : "FAIL", row.work,
               row.target, row.measured);
  std::fflush(stdout);
}

bool prepare(Options& options) {
  Scale& scale = options.setup.scale;
  if (options.is_short) shorten(scale);
  if (!options.soak.empty()) scale.soak_s = duration_s(options.soak);
  if (scale.soak_s <= 0) {
    fmt::print(stderr, "--soak {}: a duration is 90, 10m or 2h\n", options.soak);
    return false;
  }
  if (options.setup.server.model.empty()) options.setup.server.model = bundled_model();
  if (options.setup.server.model.empty()) {
    fmt::print(stderr, "no bundled model in models/: name one by --model\n");
    return false;
  }
  const int64_t needed = scale.idle + 200, have = raise_descriptor_limit();
  if (have < needed) {
    fmt::print(stderr, "{} streams need {} descriptors, {} are allowed: ulimit -Hn {}, as root\n",
               scale.idle, needed, have, needed);
    return false;
  }
  for (const std::string& name : options.only) {
    if (std::ranges::any_of(scenarios(), [&](const auto& s) { return s.name == name; })) continue;
    fmt::print(stderr, "--only {}: no such row; these are:", name);
    for (const Scenario& scenario : scenarios()) fmt::print(stderr, " {}", scenario.name);
    fmt::print(stderr, "\n");
    return false;
  }
  return true;
}

int run(Options& options) {
  if (!prepare(options)) return 2;
  std::string& folder = options.setup.server.folder;
  folder = std::filesystem::temp_directory_path() / fmt::format("hadal-load-{}", getpid());
  std::filesystem::create_directories(folder);
  Json all = Json::array();
  bool passed = true;
  if (options.markdown) fmt::print("| work | target | measured | met |\n|---|---|---|---|\n");
  for (const Scenario& scenario : scenarios()) {
    const auto& only = options.only;
    if (!only.empty() && std::ranges::find(only, scenario.name) == only.end()) continue;
    Row row;
    try {
      row = scenario.measure(options.setup);
    } catch (const std::exception& error) {
      row.work = scenario.name;
      row.measured = error.what();
      row.passed = false;
    }
    print(row, options.markdown);
    passed &= row.passed;
    all.push_back({{"name", scenario.name},
                   {"work", row.work},
                   {"target", row.target},
                   {"measured", row.measured},
                   {"passed", row.passed},
                   {"values", row.values}});
  }
  std::filesystem::remove_all(folder);
  if (!options.json.empty()) std::ofstream(options.json) << all.dump(1) << "\n";
  return passed ? 0 : 1;
}

}  // namespace
}  // namespace hadal::bench

int main(int argc, char** argv) {
  hadal::bench::Options options;
  options.setup.server.program = HADAL_BINARY;
  hadal::bench::Scale& scale = options.setup.scale;
  CLI::App app("hadal serve under load; the status tells whether every target was met");
  app.add_option("--hadal", options.setup.server.program, "The program to measure")
      ->capture_default_str();
  app.add_option("--model", options.setup.server.model, "Instead of the bundled one");
  app.add_option("-t,--threads", options.setup.server.threads, "Of the server; 0: one per core")
      ->capture_default_str();
  app.add_option("--only", options.only, "These rows alone (may be repeated)");
  app.add_option("--idle", scale.idle, "Idle streams")->capture_default_str();
  app.add_option("--repeats", scale.repeats, "Of each speed")->capture_default_str();
  app.add_option("--soak", options.soak, "How long: 90 (seconds), 10m, 2h");
  app.add_flag("--short", options.is_short, "Less of everything, limits for a busy machine");
  app.add_flag("--instrumented", options.setup.instrumented,
               "The server is built with sanitizers: sizes and times are no faults");
  app.add_option("--json", options.json, "Write the figures to this file");
  app.add_flag("--markdown", options.markdown);
  CLI11_PARSE(app, argc, argv);
  signal(SIGPIPE, SIG_IGN);
  return hadal::bench::run(options);
}
