// Measures the rows of work.h, Hadal and its peers in turn, and prints the table.
#include <ctime>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "own.h"
#include "peer.h"
#include "process.h"
#include "report.h"
#include "statistics.h"

namespace hadal::bench {
namespace {

using nlohmann::json;

struct Options {
  OwnOptions own;
  std::vector<std::string> only, peers;
  std::string results;
  bool add = false, report_only = false, peers_only = false, as_json = false, as_markdown = false;
};

json read_results(const std::string& path) {
  std::ifstream file(path);
  json results = file ? json::parse(file, nullptr, false) : json();
  if (!results.is_object()) results = json::object();
  if (!results.contains("rows")) results["rows"] = json::object();
  return results;
}

void write_results(const std::string& path, const json& results) {
  if (path.empty()) return;
  std::ofstream(path) << results.dump(1) << "\n";
}

std::string commit_now() {
  std::string commit = run_process({"git", "rev-parse", "--short", "HEAD"}).out;
  while (!commit.empty() && commit.back() == '\n') commit.pop_back();
  return commit;
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", std::localtime(&now));
  return text;
}

void keep(json& entry, const std::vector<double>& samples, bool add) {
  if (!add || !entry.contains("samples")) entry["samples"] = json::array();
  for (const double sample : samples) entry["samples"].push_back(sample);
}

void measure_hadal(const Work& work, const Options& options, json& results, json& row) {
  const std::string error = make_model(work, options.own);
  OwnSamples own;
  own.error = error;
  if (error.empty()) own = measure_own(work, options.own);
  if (!own.error.empty()) {
    fmt::print(stderr, "{}: {}\n", work.id, own.error);
    return;
  }
  keep(row["hadal"], own.samples, options.add);
  row["hadal"]["ceiling"] = own.ceiling;
  row["hadal"]["limit"] = own.limit;
  row["commit"] = commit_now();
  row["date"] = today();
  if (!own.machine.is_null()) {
    results["machine"] = own.machine;
    results["kernels"] = own.kernels;
  }
}

void measure_peer_row(const Peer& peer, const Work& work, const Options& options, json& row) {
  const OwnOptions& own = options.own;
  const int threads =
      own.threads > 0 ? own.threads : static_cast<int>(std::thread::hardware_concurrency());
  const auto measure = [&] {
    return measure_peer(peer, work, own.folder, own.repetitions, threads);
  };
  PeerSamples got = measure();
  if (work.kind == Kind::disturbed && got.error.empty()) {
    const double quiet = median(got.samples);
    const BusyProcess busy;
    got = measure();
    for (double& rate : got.samples) rate /= quiet;
  }
  if (!got.error.empty()) {
    fmt::print(stderr, "{}: {} {}\n", work.id, peer.name, got.error);
    return;
  }
  keep(row["peers"][peer.name], got.samples, options.add);
}

void measure_all(const Options& options, const std::vector<Peer>& peers, json& results) {
  for (const Work& work : all_work()) {
    const auto& only = options.only;
    const bool wanted = only.empty() || std::find(only.begin(), only.end(), work.id) != only.end();
    if (!wanted) continue;
    fmt::print(stderr, "{}\n", work.id);
    json& row = results["rows"][std::string(work.id)];
    if (!row.contains("peers")) row["peers"] = json::object();
    if (!row.contains("hadal")) row["hadal"] = json::object();
    if (!options.peers_only) measure_hadal(work, options, results, row);
    for (const Peer& peer : peers) measure_peer_row(peer, work, options, row);
    write_results(options.results, results);
  }
}

int run(const Options& options) {
  std::vector<Peer> peers;
  for (const std::string& text : options.peers) {
    const auto peer = parse_peer(text);
    if (!peer) {
      fmt::print(stderr, "--peer {}: expected NAME[@MODEL,...]=PATH FLAGS...\n", text);
      return 2;
    }
    peers.push_back(*peer);
  }
  for (const std::string& id : options.only) {
    if (find_work(id)) continue;
    fmt::print(stderr, "--only {}: no such row; these are:\n", id);
    for (const Work& work : all_work()) fmt::print(stderr, "  {}\n", work.id);
    return 2;
  }
  json results = read_results(options.results);
  if (!options.report_only) measure_all(options, peers, results);
  if (options.as_json) {
    fmt::print("{}\n", results.dump(1));
  } else {
    fmt::print("{}", options.as_markdown ? markdown_table(results) : text_table(results));
  }
  return 0;
}

}  // namespace
}  // namespace hadal::bench

int main(int argc, char** argv) {
  hadal::bench::Options options;
  options.own.program = HADAL_BINARY;
  options.own.folder = "/tmp/hadal-bench";
  CLI::App app("The table of docs/performance.md: Hadal beside others, as shares of this machine");
  app.add_option("--hadal", options.own.program, "The program to measure")->capture_default_str();
  app.add_option("--models", options.own.folder, "Folder of the models; missing ones are written")
      ->capture_default_str();
  app.add_option("--only", options.only, "These rows alone (may be repeated)");
  app.add_option("--peer", options.peers,
                 "NAME[@MODEL,...]=PATH FLAGS...: a program with llama-bench's flags, for these "
                 "models; {model} in the flags stands for the file without .gguf");
  app.add_option("--results", options.results,
                 "JSON file: rows measured before are kept, new ones "
                 "replace them");
  app.add_flag("--add", options.add, "Add to the samples of earlier runs instead of replacing");
  app.add_flag("--report", options.report_only, "Measure nothing, show the results");
  app.add_flag("--peers-only", options.peers_only, "Measure the peers alone");
  app.add_option("-r,--repetitions", options.own.repetitions, "Of each row")->capture_default_str();
  app.add_option("-t,--threads", options.own.threads, "0: one per core")->capture_default_str();
  app.add_flag("--json", options.as_json);
  app.add_flag("--markdown", options.as_markdown);
  CLI11_PARSE(app, argc, argv);
  return hadal::bench::run(options);
}
