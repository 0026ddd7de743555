#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "infer/model_store.h"
#include "infer/tokenizer_file.h"
#include "tokenizer/dialogue.h"

namespace hadal::cli {
namespace {

using tokenizer::Dialogue;
using tokenizer::EncodeOptions;
using tokenizer::Generation;

struct Options {
  std::string model, file, prompt, system, generation, thinking;
  bool ids = false;
};

std::string read_input(const std::string& path) {
  if (path.empty() || path == "-") {
    if (isatty(STDIN_FILENO) != 0) {
      fail(ErrorKind::usage, "no dialogue: give a JSON file, pipe one in, or use --prompt");
    }
    return {std::istreambuf_iterator<char>(std::cin), {}};
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(ErrorKind::file, "{}: cannot be opened", path);
  return {std::istreambuf_iterator<char>(file), {}};
}

Dialogue read_dialogue(const Options& options) {
  Dialogue dialogue;
  if (!options.prompt.empty()) {
    if (!options.file.empty()) {
      fail(ErrorKind::usage, "give a dialogue file or --prompt, not both");
    }
    dialogue.messages.emplace_back().content = options.prompt;
  } else {
    dialogue = tokenizer::dialogue_from_json(read_input(options.file));
  }
  if (!options.system.empty()) {
    tokenizer::Message system;
    system.role = tokenizer::Role::system;
    system.content = options.system;
    dialogue.messages.insert(dialogue.messages.begin(), system);
  }
  return dialogue;
}

void render(const Options& options, bool json) {
  const infer::TokenizerSource source = infer::open_tokenizer(infer::find_model(options.model));
  if (options.generation.empty() && !source.style) {
    fail(ErrorKind::unsupported,
         "{} has no dialogue form that Hadal knows (a base model?): name one with --generation",
         options.model);
  }
  const Generation generation = options.generation.empty()
                                    ? source.style->generation
                                    : tokenizer::parse_generation(options.generation);
  EncodeOptions encode;
  if (source.style) encode.default_system = source.style->default_system;
  if (source.style && source.style->generation == generation) {
    encode.thinking = source.style->thinking;
  }
  if (!options.thinking.empty()) encode.thinking = options.thinking == "on";
  const Dialogue dialogue = read_dialogue(options);
  const std::string text = tokenizer::render_dialogue(generation, dialogue, encode);
  if (!json && !options.ids) {
    fmt::print("{}\n", text);
    return;
  }
  const std::vector<int32_t> ids =
      tokenizer::encode_dialogue(source.tokenizer, generation, dialogue, encode);
  if (!json) {
    fmt::print("{}\n", fmt::join(ids, " "));
    return;
  }
  const nlohmann::ordered_json value = {
      {"generation", tokenizer::generation_name(generation)},
      {"text", text},
      {"ids", ids},
      {"starts_thinking", tokenizer::starts_thinking(generation, dialogue, encode)}};
  fmt::print("{}\n", value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace

void add_template(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, globals, "template", "Show a dialogue as the prompt that the model sees",
      "The dialogue is JSON in OpenAI's form: an array of messages, or an object with messages\n"
      "and tools. The printed text spells special tokens; only --ids shows for certain what the\n"
      "model is given, since a user's text may spell them too.\n\n"
      "Examples:\n"
      "  hadal template seed --prompt \"What is 7 + 5?\"\n"
      "  hadal template seed dialogue.json --ids\n"
      "  hadal template DeepSeek-V3.1 dialogue.json --thinking on --json",
      [options, &globals] { render(*options, globals.json); });
  command
      ->add_option("MODEL", options->model,
                   "Model file, folder or name, or a tokenizer.json; \"\" is the bundled model")
      ->required();
  command->add_option("FILE", options->file, "Dialogue as JSON; - or nothing: stdin");
  command->add_option("-p,--prompt", options->prompt, "One user message instead of a file");
  command->add_option("--system", options->system, "System text in front");
  command->add_option("--generation", options->generation,
                      "Dialogue form instead of the model's own: v3, r1, v3.1, chatml, ...");
  command->add_option("--thinking", options->thinking, "on or off; else as the generation does")
      ->check(CLI::IsMember({"on", "off"}));
  command->add_flag("--ids", options->ids, "Token ids instead of text");
  add_json(command, globals);
}

}  // namespace hadal::cli
