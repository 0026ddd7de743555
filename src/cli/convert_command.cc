// hadal convert: Hugging Face folder <-> GGUF.
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "cli/model_tokenizer.h"
#include "cli/write_report.h"
#include "infer/model_store.h"

namespace hadal::cli {
namespace {

constexpr const char* kHelpEnd =
    "The output's name decides: NAME.gguf becomes one GGUF file in llama.cpp's layout, anything\n"
    "else a Hugging Face folder (config.json, safetensors, tokenizer.json). BF16, F16 and F32\n"
    "weights come through bit for bit. FP8 weights become BF16; so do quantised ones on the way\n"
    "to a folder. To make a model smaller, see hadal quantize.\n"
    "\n"
    "Examples:\n"
    "  hadal convert DeepSeek-V2-Lite -o v2-lite.gguf     a folder as downloaded\n"
    "  hadal convert v2-lite.gguf -o v2-lite              and back\n"
    "  hadal convert r1-00001-of-00009.gguf -o r1.gguf    the parts of a split file in one";

struct Options {
  std::string model, output;
  bool force = false;
  bool no_tokenizer = false;
};

void convert(const Options& options, const Globals& globals) {
  const format::LoadedFiles files = format::load_model(infer::find_model(options.model));
  print_notes(files.notes);
  ThreadPool pool(globals.threads);
  format::WriteOptions write{.replace = options.force, .progress = write_progress("Writing")};
  format::WriteReport report;
  if (options.output.ends_with(".gguf")) {
    ModelTokenizer tokenizer;
    if (!options.no_tokenizer) tokenizer = gguf_tokenizer_of(files);
    report = format::write_gguf(files, tokenizer.parts ? &*tokenizer.parts : nullptr,
                                options.output, write, pool);
  } else {
    std::vector<format::SideFile> side_files;
    if (!options.no_tokenizer) side_files = hf_tokenizer_of(files);
    report = format::write_hf(files, side_files, options.output, write, pool);
  }
  print_notes(report.notes);
  if (globals.json) {
    fmt::print("{}\n", report_json(report, options.output).dump());
  } else {
    fmt::print("{}: {}, {} weights of {:.2f} bits\n", options.output,
               format_bytes(static_cast<double>(report.bytes_after)),
               format_count(static_cast<double>(report.weights)), report.bits_after());
  }
}

}  // namespace

void add_convert(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, globals, "convert", "Convert between Hugging Face folders and GGUF",
                  kHelpEnd, [options, &globals] { convert(*options, globals); });
  command->add_option("MODEL", options->model, "Model folder, GGUF file or name")->required();
  command->add_option("-o,--output", options->output, "NAME.gguf, or a folder")->required();
  command->add_flag("--force", options->force, "Replace an existing output");
  command->add_flag("--no-tokenizer", options->no_tokenizer, "Leave the tokenizer out");
  add_threads(command, globals);
  add_json(command, globals);
}

}  // namespace hadal::cli
