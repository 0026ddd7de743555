#include "server/cost.h"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <optional>

#include <fmt/format.h>

#include "server/text.h"

namespace hadal::server {
namespace {

struct Reading {
  double joules = -1;  // of the packages, -1: unknown
  double cpu_s = 0;    // of all processors, busy
};

double busy_cpu_s() {
  std::ifstream in("/proc/stat");
  std::string name;
  double user = 0, nice = 0, system = 0;
  in >> name >> user >> nice >> system;
  return (user + nice + system) / 100;  // USER_HZ
}

// Joules for each second of a busy core since the first call, so that the machine's idle power is
// shared by those who work. Nothing where the kernel does not tell.
std::optional<double> measured_watts() {
  static const Reading first = {package_joules(), busy_cpu_s()};
  if (first.joules < 0) return std::nullopt;
  const double joules = package_joules() - first.joules, cpu_s = busy_cpu_s() - first.cpu_s;
  if (joules <= 0 || cpu_s < 1) return std::nullopt;  // too soon, or the counter went round
  return joules / cpu_s;
}

std::optional<double> price(double input, double cached_input, double output,
                            const Account& account) {
  if (input < 0 || output < 0) return std::nullopt;
  const infer::RequestStats& first = account.stats.front();
  const auto cached = static_cast<double>(first.cached_tokens);
  double sum = (static_cast<double>(first.prompt_tokens) - cached) * input +
               cached * (cached_input < 0 ? input : cached_input);
  for (const infer::RequestStats& stats : account.stats)
    sum += static_cast<double>(stats.generated_tokens) * output;
  return sum / 1e6;
}

}  // namespace

double package_joules() {
  double joules = -1;
  std::error_code ignored;
  for (const auto& zone : std::filesystem::directory_iterator("/sys/class/powercap", ignored)) {
    // intel-rapl:0 is a package, intel-rapl:0:0 a part of it.
    const std::string name = zone.path().filename().string();
    if (std::count(name.begin(), name.end(), ':') != 1) continue;
    std::ifstream in(zone.path() / "energy_uj");
    double microjoules = 0;
    if (in >> microjoules) joules = std::max(joules, 0.0) + microjoules * 1e-6;
  }
  return joules;
}

std::string cost_json(const Prices& prices, const Account& account, double cpu_s) {
  const std::optional<double> measured = measured_watts();
  std::string out =
      fmt::format(R"({{"cpu_s":{:.6f},"joules":{:.3f},"joules_source":"{}")", cpu_s,
                  cpu_s * measured.value_or(prices.watts_per_core),
                  measured ? "measured power of the processor, shared by processor time"
                           : "estimate: processor time times the configured watts per core");
  const auto own = price(prices.input, prices.cached_input, prices.output, account);
  const auto hosted =
      price(prices.hosted_input, prices.hosted_cached_input, prices.hosted_output, account);
  if (own || hosted) out += ",\"currency\":" + json_text(prices.currency);
  if (own) out += fmt::format(",\"price\":{:.9f}", *own);
  if (hosted) out += fmt::format(",\"hosted_price\":{:.9f}", *hosted);
  return out + "}";
}

}  // namespace hadal::server
