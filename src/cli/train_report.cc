#include "cli/train_report.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <optional>
#include <vector>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/output_file.h"
#include "cli/human.h"

namespace hadal::cli {
namespace {

using nlohmann::json;

constexpr int chart_width = 860, chart_height = 200, left = 64, bottom = 22;
constexpr size_t points_max = 400;  // of a curve: more would not be seen
constexpr size_t columns_max = 80;  // of a heat map

struct Point {
  double x = 0, y = 0;
};

// All numbers of a key by step; lines without it are left out.
std::vector<Point> series(const std::vector<json>& lines, const char* key) {
  std::vector<Point> out;
  for (const json& line : lines) {
    const auto value = line.find(key);
    if (value != line.end() && value->is_number())
      out.push_back({line["step"].get<double>(), value->get<double>()});
  }
  return out;
}

// Means of as many neighbours as make at most points_max points.
std::vector<Point> thinned(const std::vector<Point>& points) {
  const size_t group = (points.size() + points_max - 1) / points_max;
  std::vector<Point> out;
  for (size_t i = 0; i < points.size(); i += group) {
    const size_t end = std::min(points.size(), i + group);
    Point mean;
    for (size_t j = i; j < end; ++j) {
      mean.x += points[j].x / static_cast<double>(end - i);
      mean.y += points[j].y / static_cast<double>(end - i);
    }
    out.push_back(mean);
  }
  return out;
}

// The distance of round numbers, at most six of which lie between the two.
double round_step(double low, double high) {
  const double rough = (high - low) / 5, unit = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * unit >= rough) return factor * unit;
  return 10 * unit;
}

std::vector<double> multiples(double step, double low, double high) {
  std::vector<double> out;
  const auto first = static_cast<int64_t>(std::ceil(low / step - 1e-9));
  const auto last = static_cast<int64_t>(std::floor(high / step + 1e-9));
  for (int64_t i = first; i <= last; ++i) out.push_back(static_cast<double>(i) * step);
  return out;
}

// Where values stand between the ends of an axis, and the round ones that are written beside it.
struct Axis {
  double low = 0, high = 1;  // logarithms if `logarithmic`
  bool logarithmic = false;
  std::vector<double> ticks;  // values

  double place(double value) const {  // 0 to 1
    return ((logarithmic ? std::log10(value) : value) - low) / (high - low);
  }
};

Axis linear_axis(double low, double high) {
  if (high - low < 1e-12) high = low + 1;
  Axis axis;
  const double step = round_step(low, high);
  axis.low = std::floor(low / step) * step;
  axis.high = std::ceil(high / step) * step;
  axis.ticks = multiples(step, axis.low, axis.high);
  return axis;
}

Axis logarithmic_axis(double low, double high) {
  Axis axis{std::log10(low), std::log10(std::max(high, low * 1.01)), true, {}};
  for (const double power : multiples(1, std::floor(axis.low), axis.high))
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double tick = factor * std::pow(10.0, power);
      if (tick >= low && tick <= high) axis.ticks.push_back(tick);
    }
  return axis;
}

// A curve with its scale; logarithmic where all values are positive and that is asked for. Nothing
// of what has been zero all the time.
std::string chart(const std::string& title, std::vector<Point> points, bool logarithmic) {
  std::erase_if(points,
                [&](const Point& p) { return !std::isfinite(p.y) || (logarithmic && p.y <= 0); });
  points = thinned(points);
  if (std::ranges::all_of(points, [](const Point& p) { return p.y == 0; })) return "";
  const auto [least, most] = std::ranges::minmax(points, {}, &Point::y);
  const Axis y_axis =
      logarithmic ? logarithmic_axis(least.y, most.y) : linear_axis(least.y, most.y);
  const double first = points.front().x, last = std::max(points.back().x, first + 1);
  const Axis x_axis{first, last, false, {}};
  const auto across = [&](double x) { return left + x_axis.place(x) * (chart_width - left); };
  const auto up = [&](double y) {
    return chart_height - 10 - y_axis.place(y) * (chart_height - 20);
  };
  std::string out = fmt::format("<h2>{}</h2>\n<svg viewBox='0 0 {} {}'>\n", title, chart_width,
                                chart_height + bottom);
  for (const double tick : y_axis.ticks)
    out += fmt::format(
        "<line x1='{}' y1='{:.1f}' x2='{}' y2='{:.1f}' class='grid'/>"
        "<text x='{}' y='{:.1f}' text-anchor='end'>{:.6g}</text>\n",
        left, up(tick), chart_width, up(tick), left - 6, up(tick) + 4, tick);
  for (const double tick : multiples(std::max(1.0, round_step(first, last)), first, last))
    out += fmt::format("<text x='{:.1f}' y='{}' text-anchor='{}'>{:.0f}</text>\n", across(tick),
                       chart_height + 14, across(tick) > chart_width - 20 ? "end" : "middle", tick);
  out += "<polyline points='";
  for (const Point& p : points) out += fmt::format("{:.1f},{:.1f} ", across(p.x), up(p.y));
  return out + "'/>\n</svg>\n";
}

// Blue: less than its share; white: its share; red: twice its share and more.
std::string color(double share) {
  const double s = std::clamp(share, 0.0, 2.0);
  const auto fade = static_cast<int>(255 * (1 - std::abs(s - 1)));
  return s < 1 ? fmt::format("#{0:02x}{0:02x}ff", fade) : fmt::format("#ff{0:02x}{0:02x}", fade);
}

// loads[layer][expert] of one line, or nothing if the line does not hold them.
std::optional<std::vector<double>> loads_of(const json& line, size_t layer) {
  const auto experts = line.find("experts");
  if (experts == line.end() || !experts->is_array() || layer >= experts->size())
    return std::nullopt;
  std::vector<double> out;
  for (const json& load : (*experts)[layer])
    out.push_back(load.is_number() ? load.get<double>() : 0.0);
  return out;
}

// Experts from top to bottom, steps from left to right, each cell's load over the mean.
std::string heat_map(const std::vector<json>& lines, size_t layer) {
  const size_t group = (lines.size() + columns_max - 1) / columns_max;
  std::vector<std::vector<double>> columns;
  for (size_t i = 0; i < lines.size(); i += group) {
    std::vector<double> sum;
    for (size_t j = i; j < std::min(lines.size(), i + group); ++j) {
      const auto loads = loads_of(lines[j], layer);
      if (!loads) continue;
      sum.resize(std::max(sum.size(), loads->size()));
      for (size_t e = 0; e < loads->size(); ++e) sum[e] += (*loads)[e];
    }
    columns.push_back(std::move(sum));
  }
  const size_t experts = columns.empty() ? 0 : columns.back().size();
  if (experts == 0) return "";
  const double width =
      static_cast<double>(chart_width - left) / static_cast<double>(columns.size());
  constexpr int height = 8;
  std::string out = fmt::format(
      "<svg viewBox='0 0 {} {}'>\n<text x='{}' y='12' "
      "text-anchor='end'>{}</text>\n",
      chart_width, experts * height + 6, left - 6, layer + 1);
  for (size_t c = 0; c < columns.size(); ++c) {
    double mean = 0;
    for (const double load : columns[c]) mean += load / static_cast<double>(experts);
    for (size_t e = 0; e < columns[c].size() && mean > 0; ++e)
      out += fmt::format("<rect x='{:.1f}' y='{}' width='{:.1f}' height='{}' fill='{}'/>",
                         left + static_cast<double>(c) * width, e * height, width + 0.3, height,
                         color(columns[c][e] / mean));
  }
  return out + "\n</svg>\n";
}

std::vector<json> read_lines(const std::string& path) {
  std::ifstream file(path);
  if (!file) fail(ErrorKind::file, "cannot read {}: is this the folder of a run?", path);
  std::vector<json> lines;
  for (std::string text; std::getline(file, text);) {
    json line = json::parse(text, nullptr, false);
    // A killed run may have left half a line.
    if (line.is_object() && line.contains("step") && line["step"].is_number())
      lines.push_back(std::move(line));
  }
  if (lines.empty()) fail(ErrorKind::format, "{}: no step was made yet", path);
  return lines;
}

double number(const json& line, const char* key) {
  const auto value = line.find(key);
  return value != line.end() && value->is_number() ? value->get<double>() : 0.0;
}

std::string summary(const std::vector<json>& lines) {
  const json& last = lines.back();
  int64_t skipped = 0;
  for (const json& line : lines)
    if (line.value("skipped", json(false)) == true) ++skipped;
  std::string out =
      fmt::format("<p>Step {:.0f}; loss {:.4f}; {} tokens in {}; {:.0f} tokens/s in the last step",
                  number(last, "step"), number(last, "loss"), format_count(number(last, "tokens")),
                  format_duration(number(last, "seconds")), number(last, "tokens_per_second"));
  if (last.contains("bits_per_byte"))
    out += fmt::format("; {:.4f} bits per byte", number(last, "bits_per_byte"));
  if (last.contains("peak_share"))
    out += fmt::format("; {:.0f}% of the machine's peak", 100 * number(last, "peak_share"));
  if (last.contains("cost")) out += fmt::format("; cost {:.4f}", number(last, "cost"));
  return out + fmt::format("; {} steps left out.</p>\n", skipped);
}

constexpr const char* head =
    "<!doctype html>\n<html lang='en'><meta charset='utf-8'><title>Training</title>\n<style>"
    "body{font:14px sans-serif;max-width:900px;margin:2em auto;color:#222;background:#fff}"
    "h2{font-size:15px;margin:1.2em 0 .2em}svg{width:100%;display:block}"
    "text{font-size:11px;fill:#666}.grid{stroke:#e4e4e4}"
    "polyline{fill:none;stroke:#2a6fb0;stroke-width:1.4}</style>\n<h1>Training</h1>\n";

}  // namespace

void write_train_report(const std::string& run) {
  const std::vector<json> lines = read_lines(run + "/metrics.jsonl");
  std::string page = head + summary(lines);
  page += chart("Loss (nats a token)", series(lines, "loss"), false);
  page += chart("Bits per byte", series(lines, "bits_per_byte"), false);
  page += chart("MTP loss", series(lines, "mtp_loss"), false);
  page += chart("Balance loss", series(lines, "balance_loss"), false);
  page += chart("Learning rate of matrices", series(lines, "lr"), false);
  page += chart("Tokens per second", series(lines, "tokens_per_second"), false);
  page +=
      chart("Gradient norm, before clipping (logarithmic)", series(lines, "gradient_norm"), true);
  const auto experts = lines.back().find("experts");
  const size_t layers = experts != lines.back().end() && experts->is_array() ? experts->size() : 0;
  if (layers > 0)
    page += "<h2>Load of experts by layer: blue none, white the mean, red twice the mean</h2>\n";
  for (size_t layer = 0; layer < layers; ++layer) page += heat_map(lines, layer);
  page += "</html>\n";
  const std::string path = run + "/report.html";
  OutputFile file(path, true);
  file.write(page.data(), page.size());
  file.commit();
  fmt::print("{}\n", path);
}

}  // namespace hadal::cli
