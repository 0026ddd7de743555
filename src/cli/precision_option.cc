#include "cli/precision_option.h"

#include <string>

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

void add_precision(CLI::App* command, model::Precision* precision) {
  command
      ->add_option_function<std::string>(
          "--precision",
          [precision](const std::string& name) {
            *precision = name == "f32"    ? model::Precision::f32
                         : name == "bf16" ? model::Precision::bf16
                                          : model::Precision::native;
          },
          "native (each number format's own arithmetic), f32 or bf16")
      ->check(CLI::IsMember({"native", "f32", "bf16"}))
      ->default_str(precision_name(*precision));
}

}  // namespace hadal::cli
