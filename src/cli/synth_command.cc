// hadal synth: a random-weight model of a published shape, to measure speed with.
#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "cli/write_report.h"
#include "format/synth.h"

namespace hadal::cli {
namespace {

struct Options {
  std::string shape, type = "q4_k_m", output;
  int64_t layers = 0;
  uint64_t seed = 1;
  bool force = false, joined_up = false;
};

std::string help_end() {
  std::string text = "Shapes:\n";
  for (const format::Shape& shape : format::published_shapes()) {
    text += fmt::format("  {:<18} {}\n", shape.name, shape.description);
  }
  return text +
         "\nThe weights are random, so the model says nothing sensible, but it costs what the "
         "real\n"
         "one costs: the same sizes, number formats and routing. Its tokenizer has one token per\n"
         "byte.\n\n"
         "Examples:\n"
         "  hadal synth deepseek-v2-lite --type q4_k_m -o v2-lite.gguf    10.4 GB\n"
         "  hadal synth deepseek-v3 --layers 5 --type q8_0 -o v3.gguf     V3's layers, but five\n"
         "  hadal synth v3-mini --type fp8 -o mini-fp8                    a folder, as published\n"
         "  hadal synth v3-mini -o mini.gguf && hadal bench mini.gguf";
}

model::ModelConfig config_of(const Options& options) {
  auto config = format::shape_config(options.shape);
  if (!config) {
    std::string names;
    for (const format::Shape& shape : format::published_shapes()) {
      names += names.empty() ? "" : ", ";
      names += shape.name;
    }
    fail(ErrorKind::usage, "'{}' is no shape that Hadal knows; these are: {}", options.shape,
         names);
  }
  return options.layers > 0 ? format::with_layers(*config, options.layers) : *config;
}

void check_space(const std::string& output, uint64_t bytes) {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::absolute(output).parent_path();
  const auto space = std::filesystem::space(folder, error);
  if (!error && space.available < bytes) {
    fail(ErrorKind::file, "{} needs {}, but {} has only {} free; --layers makes it smaller", output,
         format_bytes(static_cast<double>(bytes)), folder.string(),
         format_bytes(static_cast<double>(space.available)));
  }
}

struct Written {
  format::WriteReport report;
  std::string type;
};

Written write(const Options& options, const model::ModelConfig& config, ThreadPool& pool) {
  const format::SynthOptions how = {options.seed, options.force, options.joined_up,
                                    write_progress("Writing")};
  if (options.type == "fp8") {
    if (options.output.ends_with(".gguf") || options.joined_up) {
      fail(ErrorKind::usage, "FP8 models are Hugging Face folders: give --output a folder's name");
    }
    check_space(options.output, format::synth_fp8_bytes(config));
    return {format::write_synth_fp8(config, options.output, how, pool), "FP8"};
  }
  const quant::Mixture mixture = parse_mixture(options.type);
  if (!options.output.ends_with(".gguf")) {
    fail(ErrorKind::usage, "the output {} must be named NAME.gguf", options.output);
  }
  check_space(options.output, format::synth_bytes(config, mixture));
  return {format::write_synth(config, mixture, options.output, how, pool),
          std::string(quant::mixture_name(mixture))};
}

void synth(const Options& options, const Globals& globals) {
  const model::ModelConfig config = config_of(options);
  ThreadPool pool(globals.threads);
  const auto [report, type] = write(options, config, pool);
  if (globals.json) {
    nlohmann::ordered_json json = report_json(report, options.output);
    json["type"] = type;
    json["shape"] = options.shape;
    json["seed"] = options.seed;
    fmt::print("{}\n", json.dump());
  } else {
    fmt::print("{}: {}, {} weights of {:.2f} bits\n", options.output,
               format_bytes(static_cast<double>(report.bytes_after)),
               format_count(static_cast<double>(report.weights)), report.bits_after());
  }
}

}  // namespace

void add_synth(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, globals, "synth", "Write a random model of a published shape", help_end(),
                  [options, &globals] { synth(*options, globals); });
  command->add_option("SHAPE", options->shape, "deepseek-v2-lite, deepseek-v3, ...")->required();
  command->add_option("-o,--output", options->output, "NAME.gguf, or a folder for fp8")->required();
  command->add_option("--type", options->type, "As hadal quantize's, or fp8")
      ->capture_default_str();
  command->add_option("--layers", options->layers, "Instead of the shape's")
      ->check(CLI::Range(int64_t{1}, int64_t{1000}));
  command->add_option("--seed", options->seed, "Of the random weights")->capture_default_str();
  command->add_flag("--kv-b", options->joined_up,
                    "MLA as one tensor attn_kv_b, which programs of before 2025 expect");
  command->add_flag("--force", options->force, "Replace an existing output");
  add_threads(command, globals);
  add_json(command, globals);
}

}  // namespace hadal::cli
