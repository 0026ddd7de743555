#include "report.h"

#include <algorithm>
#include <set>
#include <vector>

#include <fmt/core.h>

#include "statistics.h"
#include "work.h"

namespace hadal::bench {
namespace {

using nlohmann::json;
using Cells = std::vector<std::string>;

bool lower_is_better(Kind kind) {
  return kind == Kind::first_token || kind == Kind::memory;
}

std::string value(Kind kind, double x) {
  switch (kind) {
    case Kind::first_token:
      return fmt::format("{:.2f} s", x);
    case Kind::memory:
      return fmt::format("{:.0f} MB", x / 1e6);
    case Kind::disturbed:
      return fmt::format("{:.0f}%", 100.0 * x);
    default:
      return x < 100.0 ? fmt::format("{:.2f}", x) : fmt::format("{:.0f}", x);
  }
}

// "13.30 [13.2 .. 13.4] n5"
std::string summary(Kind kind, const std::vector<double>& samples) {
  if (samples.empty()) return "-";
  if (samples.size() == 1) return value(kind, samples[0]);
  const auto [low, high] = std::minmax_element(samples.begin(), samples.end());
  return fmt::format("{} [{} .. {}] n{}", value(kind, median(samples)), value(kind, *low),
                     value(kind, *high), samples.size());
}

std::vector<double> samples_of(const json& entry) {
  return entry.value("samples", std::vector<double>());
}

std::vector<std::string> peer_names(const json& rows) {
  std::set<std::string> names;
  for (const json& row : rows)
    for (const auto& [name, entry] : row.at("peers").items()) names.insert(name);
  return {names.begin(), names.end()};
}

std::string ratio(Kind kind, double own, const json& peers) {
  double best = 0.0;
  for (const json& peer : peers) {
    const double theirs = median(samples_of(peer));
    if (theirs <= 0.0) continue;
    const bool better = lower_is_better(kind) ? theirs < best : theirs > best;
    if (best == 0.0 || better) best = theirs;
  }
  if (best <= 0.0 || own <= 0.0) return "-";
  return fmt::format("{:.2f}x", lower_is_better(kind) ? best / own : own / best);
}

Cells row_cells(const Work& work, const json& row, bool amx,
                const std::vector<std::string>& peers) {
  const json& own = row.at("hadal");
  const std::vector<double> samples = samples_of(own);
  const double ceiling = own.value("ceiling", 0.0);
  std::string share = "-", limit = own.value("limit", "");
  if (ceiling > 0.0 && work.kind != Kind::disturbed) {
    share = fmt::format("{:.0f}%", 100.0 * median(samples) / ceiling);
    limit = fmt::format("{} t/s: {}", value(work.kind, ceiling), limit);
  }
  Cells cells = {std::string(work.id), std::string(amx ? work.target_amx : work.target_other),
                 summary(work.kind, samples), share, limit};
  for (const std::string& name : peers) {
    const auto peer = row.at("peers").find(name);
    cells.push_back(peer == row.at("peers").end() ? "-" : summary(work.kind, samples_of(*peer)));
  }
  cells.push_back(ratio(work.kind, median(samples), row.at("peers")));
  cells.push_back(row.value("commit", ""));
  return cells;
}

std::vector<Cells> all_cells(const json& results) {
  const json& rows = results.at("rows");
  const std::vector<std::string> peers = peer_names(rows);
  Cells header = {"work", "target", "Hadal", "of ceiling", "ceiling"};
  header.insert(header.end(), peers.begin(), peers.end());
  header.insert(header.end(), {"to the best peer", "commit"});
  std::vector<Cells> table = {header};
  const bool amx = results.value("kernels", "") == "amx";
  for (const Work& work : all_work()) {
    const auto row = rows.find(std::string(work.id));
    if (row != rows.end()) table.push_back(row_cells(work, *row, amx, peers));
  }
  return table;
}

std::string machine_line(const json& results) {
  const json machine = results.value("machine", json::object());
  if (machine.empty()) return "";
  std::string line =
      fmt::format("{}, {} threads, kernels {}: memory read {:.1f} GB/s", machine.value("cpu", "?"),
                  machine.value("threads", 0), results.value("kernels", "?"),
                  machine.value("read_bytes_per_second", 0.0) / 1e9);
  for (const json& peak : machine.at("peaks"))
    line += fmt::format(", {} {:.2f} T/s", peak.value("name", "?"),
                        peak.value("operations_per_second", 0.0) / 1e12);
  return line;
}

}  // namespace

std::string text_table(const json& results) {
  const std::vector<Cells> table = all_cells(results);
  std::vector<size_t> widths(table[0].size());
  for (const Cells& cells : table)
    for (size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
  std::string out = machine_line(results) + "\n\n";
  for (const Cells& cells : table) {
    for (size_t i = 0; i < cells.size(); ++i) out += fmt::format("{:<{}}  ", cells[i], widths[i]);
    out.erase(out.find_last_not_of(' ') + 1);
    out += "\n";
  }
  return out;
}

std::string markdown_table(const json& results) {
  const std::vector<Cells> table = all_cells(results);
  std::string out = machine_line(results) + "\n\n";
  for (size_t r = 0; r < table.size(); ++r) {
    for (const std::string& cell : table[r]) out += "| " + cell + " ";
    out += "|\n";
    if (r > 0) continue;
    for (size_t i = 0; i < table[0].size(); ++i) out += "|---";
    out += "|\n";
  }
  return out;
}

}  // namespace hadal::bench
