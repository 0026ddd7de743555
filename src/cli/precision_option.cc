#include "cli/precision_option.h"

#include <functional>
#include <string>
#include <utility>

#include "quant/format.h"

namespace hadal::cli {

const char* precision_name(model::Precision precision) {
  switch (precision) {
    case model::Precision::native:
      return "native";
    case model::Precision::f32:
      return "f32";
    case model::Precision::bf16:
      return "bf16";
  }
  return "";
}

namespace {

model::Precision precision_named(const std::string& name) {
  if (name == "f32") return model::Precision::f32;
  return name == "bf16" ? model::Precision::bf16 : model::Precision::native;
}

CLI::Option* add_option(CLI::App* command, std::function<void(model::Precision)> set) {
  return command
      ->add_option_function<std::string>(
          "--precision",
          [set = std::move(set)](const std::string& name) { set(precision_named(name)); },
          "native (each number format's own arithmetic), f32 or bf16")
      ->check(CLI::IsMember({"native", "f32", "bf16"}));
}

}  // namespace

void add_precision(CLI::App* command, model::Precision* precision) {
  add_option(command, [precision](model::Precision chosen) {
    *precision = chosen;
  })->default_str(precision_name(*precision));
}

void add_precision(CLI::App* command, std::optional<model::Precision>* precision,
                   const std::string& default_text) {
  add_option(command, [precision](model::Precision chosen) {
    *precision = chosen;
  })->default_str(default_text);
}

void add_cache_type(CLI::App* command, std::optional<quant::Type>* type) {
  command
      ->add_option_function<std::string>(
          "--cache-type", [type](const std::string& name) { *type = quant::type_by_name(name); },
          "What the attention cache holds: bf16, f32, or q8_0 (half the memory; latent attention, "
          "native precision)")
      ->check(CLI::IsMember({"bf16", "q8_0", "f32"}));
}

}  // namespace hadal::cli
