#include "cli/mtp_option.h"

#include <charconv>
#include <optional>
#include <string_view>

#include <fmt/core.h>

#include "infer/engine.h"

namespace hadal::cli {
namespace {

using infer::EngineOptions;

std::optional<int64_t> drafts_named(std::string_view name) {
  if (name == "auto") return EngineOptions::drafts_auto;
  if (name == "off") return 0;
  int64_t drafts = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), drafts);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  if (drafts < 1 || drafts > EngineOptions::drafts_max) return std::nullopt;
  return drafts;
}

// Drafts: int64_t, or an optional one that tells whether the option was given.
template <typename Drafts>
CLI::Option* add(CLI::App* command, Drafts* drafts) {
  const auto check = [](const std::string& name) {
    return drafts_named(name)
               ? std::string()
               : fmt::format("'{}' is not auto, off or 1 to {}", name, EngineOptions::drafts_max);
  };
  return command
      ->add_option_function<std::string>(
          "--mtp",
          [drafts](const std::string& name) {
            const int64_t checked = *drafts_named(name);
            *drafts = checked;
          },
          "Speculate by the model's MTP layer: where it pays, never, or with N drafts a step")
      ->check(CLI::Validator(check, ""))
      ->type_name("auto|off|N");
}

}  // namespace

std::string mtp_name(int64_t drafts) {
  if (drafts == EngineOptions::drafts_auto) return "auto";
  return drafts == 0 ? "off" : fmt::format("{}", drafts);
}

void add_mtp(CLI::App* command, int64_t* drafts) {
  add(command, drafts)->default_str(mtp_name(*drafts));
}

CLI::Option* add_mtp(CLI::App* command, std::optional<int64_t>* drafts) {
  return add(command, drafts);
}

}  // namespace hadal::cli
