#include <cstdio>
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
#include "cli/interrupt.h"
#include "cli/token_text.h"
#include "infer/model_store.h"
#include "infer/tokenizer_file.h"

namespace hadal::cli {
namespace {

using tokenizer::Tokenizer;

struct Options {
  std::string model;
  std::string input;  // the text; with --jsonl a file
  bool has_input = false;
  bool jsonl = false;
  bool special = false;
};

std::vector<int32_t> encode(const Tokenizer& tokenizer, const Options& options,
                            const std::string& text) {
  return options.special ? tokenizer.encode_with_special(text) : tokenizer.encode(text);
}

// One line in, one line out, so input of any size streams.
void encode_lines(const Tokenizer& tokenizer, const Options& options, std::istream& lines,
                  const std::string& name) {
  std::string out;
  std::string line;
  for (int64_t number = 1; std::getline(lines, line); ++number) {
    check_interrupt();
    const nlohmann::json value = nlohmann::json::parse(line, nullptr, false);
    const auto text = value.is_object() ? value.find("text") : value.end();
    if (!value.is_object() || text == value.end() || !text->is_string()) {
      fail(ErrorKind::format, "{}: line {}: expected a JSON object with a string \"text\"", name,
           number);
    }
    out += fmt::format(
        "{{\"ids\":[{}]}}\n",
        fmt::join(encode(tokenizer, options, text->get_ref<const std::string&>()), ","));
    if (out.size() > size_t{1} << 16) {
      fmt::print("{}", out);
      out.clear();
    }
  }
  if (lines.bad()) fail(ErrorKind::file, "{}: cannot be read", name);
  fmt::print("{}", out);
}

void show_json(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  nlohmann::ordered_json tokens = nlohmann::ordered_json::array();
  for (int32_t id : ids) {
    tokens.push_back(tokenizer.token_bytes(id));
  }
  const nlohmann::ordered_json value = {{"ids", ids}, {"tokens", tokens}};
  fmt::print("{}\n", value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

void show_tokens(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, size_t bytes) {
  std::string out;
  for (int32_t id : ids) {
    out += fmt::format("{:>7}  {}{}\n", id, quoted_token(tokenizer.token_bytes(id)),
                       tokenizer.is_special(id) ? "  special" : "");
  }
  fmt::print("{}", out);
  fmt::print(stderr, "{} {}, {} bytes\n", ids.size(), ids.size() == 1 ? "token" : "tokens", bytes);
}

void tokenize(const Options& options, bool json) {
  const Tokenizer tokenizer =
      std::move(infer::open_tokenizer(infer::find_model(options.model)).tokenizer);
  if (options.jsonl) {
    if (!options.has_input || options.input == "-") {
      std::ios::sync_with_stdio(false);
      return encode_lines(tokenizer, options, std::cin, "stdin");
    }
    std::ifstream file(options.input, std::ios::binary);
    if (!file) fail(ErrorKind::file, "{}: cannot be opened", options.input);
    return encode_lines(tokenizer, options, file, options.input);
  }
  std::string text = options.input;
  if (!options.has_input) {
    if (isatty(STDIN_FILENO) != 0) {
      fail(ErrorKind::usage, "no text: give it as argument or on stdin");
    }
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  }
  const std::vector<int32_t> ids = encode(tokenizer, options, text);
  if (json) {
    show_json(tokenizer, ids);
  } else {
    show_tokens(tokenizer, ids, text.size());
  }
}

}  // namespace

void add_tokenize(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  auto input = std::make_shared<CLI::Option*>(nullptr);
  CLI::App* command = add_command(
      app, globals, "tokenize", "Show the tokens of a text",
      "Text is plain text: special tokens that it spells stay text, unless --special is given.\n\n"
      "Examples:\n"
      "  hadal tokenize seed \"Hello world\"\n"
      "  hadal tokenize model.gguf --json < book.txt\n"
      "  hadal tokenize tokenizer.json --special \"<think>\"\n"
      "  hadal tokenize seed --jsonl lines.jsonl > ids.jsonl",
      [options, input, &globals] {
        options->has_input = (*input)->count() > 0;
        tokenize(*options, globals.json);
      });
  command
      ->add_option("MODEL", options->model,
                   "Model file, folder or name, or a tokenizer.json; \"\" is the bundled model")
      ->required();
  *input = command->add_option("TEXT", options->input,
                               "The text, else stdin; with --jsonl a file of lines, else stdin");
  command->add_flag("--jsonl", options->jsonl,
                    "Read lines of JSON with \"text\", write lines with \"ids\"");
  command->add_flag("--special", options->special, "Recognise special tokens spelt in the text");
  add_json(command, globals);
}

}  // namespace hadal::cli
