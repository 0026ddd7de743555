#include "cli/write_report.h"

#include <memory>

#include <fmt/format.h>

#include "base/error.h"
#include "cli/interrupt.h"

namespace hadal::cli {

format::WriteProgress write_progress(const std::string& label) {
  auto bar = std::make_shared<std::unique_ptr<Progress>>();
  return [bar, label](uint64_t done, uint64_t total) {
    check_interrupt();
    if (!*bar) *bar = std::make_unique<Progress>(label, total, ProgressUnit::bytes);
    (*bar)->update(done);
    if (done >= total) (*bar)->finish();
  };
}

quant::Mixture parse_mixture(const std::string& name) {
  const auto mixture = quant::mixture_by_name(name);
  if (!mixture) {
    fail(ErrorKind::usage, "'{}' is no type to quantise to; these are: {}", name,
         quant::mixture_names());
  }
  return *mixture;
}

void print_notes(const std::vector<std::string>& notes) {
  for (const std::string& note : notes) fmt::print(stderr, "note: {}\n", note);
}

nlohmann::ordered_json report_json(const format::WriteReport& report, const std::string& output) {
  return {{"output", output},
          {"bytes", report.bytes_after},
          {"weights", report.weights},
          {"bits_per_weight", report.bits_after()},
          {"notes", report.notes}};
}

}  // namespace hadal::cli
