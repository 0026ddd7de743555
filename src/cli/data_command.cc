// hadal data: what models learn from. A tokenizer from text, token stores from documents and
// generated problems, and a look at either.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/output_file.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "data/bpe_trainer.h"
#include "data/encode.h"
#include "data/inputs.h"
#include "data/token_store.h"
#include "infer/tokenizer_file.h"

namespace hadal::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Options {
  std::vector<std::string> inputs;
  std::string output, tokenizer, generation, part = "train", kind, store;
  int32_t vocabulary = 4096;
  int64_t context = 512;
  uint64_t seed = 0, first = 0;
  int64_t count = 5;
  bool force = false, learn_all = false;
};

std::vector<data::Input> inputs_of(const Options& options) {
  std::vector<data::Input> inputs;
  for (const std::string& spec : options.inputs) inputs.push_back(data::parse_input(spec));
  return inputs;
}

// Reads all inputs with a bar that counts thousandths of each.
void read_all(const char* label, const Options& options, const data::TakeDocument& take) {
  const std::vector<data::Input> inputs = inputs_of(options);
  const data::InputOptions how{options.seed, data::parse_part(options.part)};
  Progress bar(label, inputs.size() * 1000, ProgressUnit::items);
  for (size_t i = 0; i < inputs.size(); ++i) {
    data::read_input(inputs[i], how, take, [&](double share) {
      check_interrupt();
      bar.update(i * 1000 + static_cast<uint64_t>(share * 1000));
    });
  }
  bar.finish();
}

void write_text(const fs::path& path, const std::string& text, bool replace) {
  OutputFile file(path.string(), replace);
  file.write(text.data(), text.size());
  file.commit();
}

void train_tokenizer(const Options& options, const Globals& globals) {
  const auto specials = static_cast<int32_t>(data::special_tokens().size());
  if (options.vocabulary < specials + 256) {
    fail(ErrorKind::usage, "--vocabulary {}: there are {} special tokens and 256 bytes already",
         options.vocabulary, specials);
  }
  const auto start = std::chrono::steady_clock::now();
  data::PieceCounts pieces;
  read_all("reading", options, [&](data::Document& document) {
    pieces.add(document.text);
    if (!document.dialogue) return;
    for (const tokenizer::Message& message : document.dialogue->messages) {
      pieces.add(message.reasoning_content);
      pieces.add(message.content);
    }
  });
  const auto merges = data::learn_merges(pieces, options.vocabulary - specials - 256);
  const data::TokenizerText text = data::tokenizer_text(merges, options.context);
  const fs::path folder = options.output;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail(ErrorKind::file, "cannot make {}: {}", options.output, error.message());
  write_text(folder / "tokenizer.json", text.tokenizer_json, options.force);
  write_text(folder / "tokenizer_config.json", text.config_json, options.force);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  if (text.size < options.vocabulary) {
    fmt::print(stderr, "note: the text has pairs for {} tokens only\n", text.size);
  }
  if (globals.json) {
    const Json json = {{"output", options.output},
                       {"vocabulary", text.size},
                       {"bytes", pieces.bytes()},
                       {"hash", fmt::format("{:016x}", data::file_hash(folder / "tokenizer.json"))},
                       {"seconds", took.count()}};
    fmt::print("{}\n", json.dump(2));
    return;
  }
  fmt::print("{}: {} tokens learnt from {} of text in {}\n", options.output, text.size,
             format_bytes(static_cast<double>(pieces.bytes())), format_duration(took.count()));
}

struct Opened {
  tokenizer::Tokenizer tokenizer;
  data::EncodeRules rules;
  uint64_t hash;
};

Opened open_tokenizer(const Options& options) {
  infer::TokenizerSource source = infer::open_tokenizer(options.tokenizer);
  data::EncodeRules rules;
  rules.learn_all = options.learn_all;
  if (!options.generation.empty()) {
    rules.generation = tokenizer::parse_generation(options.generation);
  } else if (source.style) {
    rules.generation = source.style->generation;
  }
  const fs::path path = options.tokenizer;
  const uint64_t hash =
      data::file_hash((fs::is_directory(path) ? path / "tokenizer.json" : path).string());
  return {std::move(source.tokenizer), rules, hash};
}

void pack(const Options& options, const Globals& globals) {
  const auto start = std::chrono::steady_clock::now();
  const Opened opened = open_tokenizer(options);
  if (fs::exists(options.output) && !options.force) {
    fail(ErrorKind::usage, "{} exists; --force replaces it", options.output);
  }
  data::TokenStoreWriter writer({opened.tokenizer.size(), opened.tokenizer.bos_id(), opened.hash});
  int64_t bytes = 0, learnt = 0;
  read_all("packing", options, [&](data::Document& document) {
    bytes += static_cast<int64_t>(document.text.size());
    const data::Encoded encoded = data::encode_document(opened.tokenizer, document, opened.rules);
    learnt += encoded.learnt.empty()
                  ? static_cast<int64_t>(encoded.ids.size())
                  : std::count(encoded.learnt.begin(), encoded.learnt.end(), uint8_t{1});
    writer.add(encoded.ids, encoded.learnt);
  });
  writer.write(options.output, options.force);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  if (globals.json) {
    const Json json = {{"output", options.output},
                       {"documents", writer.documents()},
                       {"tokens", writer.tokens()},
                       {"learnt", learnt},
                       {"generation", tokenizer::generation_name(opened.rules.generation)},
                       {"hash", fmt::format("{:016x}", data::TokenStore(options.output).hash())},
                       {"seconds", took.count()}};
    fmt::print("{}\n", json.dump(2));
    return;
  }
  fmt::print("{}: {} documents, {} tokens, {} of them to be learnt, in {}\n", options.output,
             writer.documents(), writer.tokens(), learnt, format_duration(took.count()));
}

Json dialogue_json(const data::Problem& problem) {
  Json messages = Json::array();
  for (const tokenizer::Message& message : problem.dialogue.messages) {
    const bool is_user = message.role == tokenizer::Role::user;
    Json entry = {{"role", is_user ? "user" : "assistant"}, {"content", message.content}};
    if (!message.reasoning_content.empty()) entry["reasoning_content"] = message.reasoning_content;
    messages.push_back(std::move(entry));
  }
  Json json = {{"messages", std::move(messages)}, {"canonical", problem.canonical}};
  if (!problem.answer.empty()) json["final"] = problem.answer;
  return json;
}

void generate(const Options& options) {
  const data::Generator& generator = data::find_generator(options.kind);
  const data::Part part = data::parse_part(options.part);
  for (int64_t i = 0; i < options.count; ++i) {
    check_interrupt();
    const data::Problem problem =
        data::generate(generator, options.seed, options.first + static_cast<uint64_t>(i), part);
    fmt::print("{}\n", dialogue_json(problem).dump());
  }
}

// Documents of a store as text; what is learnt stands between brackets.
std::string shown(const tokenizer::Tokenizer& tokenizer, const data::TokenStore& store,
                  int64_t document) {
  std::string text;
  bool inside = false;
  for (int64_t at = store.begin(document); at < store.begin(document + 1); ++at) {
    if (store.marked() && store.learnt(at) != inside) {
      inside = !inside;
      text += inside ? "⟦" : "⟧";
    }
    text += tokenizer.token_bytes(store.token(at));
  }
  return text + (inside ? "⟧" : "");
}

void show_store(const Options& options, const Globals& globals) {
  const data::TokenStore store(options.store);
  const int64_t documents = store.documents();
  int64_t learnt = 0, longest = 0;
  for (int64_t i = 0; i < store.tokens(); ++i) learnt += store.learnt(i) ? 1 : 0;
  for (int64_t d = 0; d < documents; ++d) {
    longest = std::max(longest, store.begin(d + 1) - store.begin(d));
  }
  if (globals.json) {
    const Json json = {
        {"documents", documents},
        {"tokens", store.tokens()},
        {"learnt", learnt},
        {"longest", longest},
        {"vocabulary", store.vocabulary().size},
        {"hash", fmt::format("{:016x}", store.hash())},
        {"tokenizer_hash", fmt::format("{:016x}", store.vocabulary().tokenizer_hash)}};
    fmt::print("{}\n", json.dump(2));
    return;
  }
  fmt::print(
      "{}: {} documents, {} tokens ({} learnt), the longest has {}; vocabulary {}; "
      "hash {:016x}\n",
      options.store, documents, store.tokens(), learnt, longest, store.vocabulary().size,
      store.hash());
  if (options.tokenizer.empty()) return;
  const Opened opened = open_tokenizer(options);
  if (opened.hash != store.vocabulary().tokenizer_hash) {
    fail(ErrorKind::usage, "{} was packed with another tokenizer than {}", options.store,
         options.tokenizer);
  }
  const int64_t count = std::min(options.count, documents);
  for (int64_t i = 0; i < count; ++i) {  // spread over the store
    const int64_t document = documents * i / count;
    fmt::print("--- document {}\n{}\n", document, shown(opened.tokenizer, store, document));
  }
}

std::string help_end() {
  std::string text =
      "INPUT is a file of documents (.jsonl, .txt or .md, also packed as .zst) or\n"
      "generate:KIND:COUNT[:FIRST], problems made by program. Of either, one in a hundred is held\n"
      "out by a hash of its content; --part says which part is meant.\n\n"
      "Kinds:\n";
  for (const data::Generator& generator : data::generators()) {
    text += fmt::format("  {:<10} {}\n", generator.name, generator.what);
  }
  return text +
         "\nExamples:\n"
         "  hadal data tokenizer books.jsonl.zst generate:add:20000 -o nano\n"
         "  hadal data pack books.jsonl.zst --tokenizer nano -o prose.tokens\n"
         "  hadal data pack generate:add:500000 --tokenizer nano -o sums.tokens\n"
         "  hadal data show sums.tokens --tokenizer nano -n 3\n"
         "  hadal data generate words -n 2 --part held-out";
}

void add_inputs(CLI::App* command, Options& options) {
  command->add_option("INPUT", options.inputs, "Files, and generate:KIND:COUNT")->required();
  command->add_option("-o,--output", options.output, "What to write")->required();
  command->add_flag("--force", options.force, "Replace what is there");
}

void add_part(CLI::App* command, Options& options) {
  command->add_option("--part", options.part, "train (default), held-out or all");
  command->add_option("--seed", options.seed, "Of the generators (0)");
}

}  // namespace

void add_data(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, globals, "data", "Prepare what a model learns from", help_end(), [] {});
  command->require_subcommand(1);
  command->callback([] {});  // it runs after that of the subcommand, which says what to do
  const auto add = [&](const char* name, const char* what, std::function<void()> run) {
    CLI::App* sub = command->add_subcommand(name, what);
    sub->callback([&globals, run = std::move(run)] {
      globals.selected = "data";
      globals.run = run;
    });
    return sub;
  };
  CLI::App* sub = add("tokenizer", "Learn a byte-level BPE vocabulary",
                      [options, &globals] { train_tokenizer(*options, globals); });
  add_inputs(sub, *options);
  add_part(sub, *options);
  sub->add_option("--vocabulary", options->vocabulary, "Tokens in all (4096)");
  sub->add_option("--context", options->context, "Noted as the model's context (512)");
  add_json(sub, globals);
  sub = add("pack", "Encode documents into a token store",
            [options, &globals] { pack(*options, globals); });
  add_inputs(sub, *options);
  add_part(sub, *options);
  sub->add_option("--tokenizer", options->tokenizer, "Folder or tokenizer.json")->required();
  sub->add_option("--generation", options->generation,
                  "Dialogue form (default: the tokenizer's, else v3.1)");
  sub->add_flag("--learn-all", options->learn_all, "Learn users' words too, not answers alone");
  add_json(sub, globals);
  sub =
      add("generate", "Print generated dialogues as JSON lines", [options] { generate(*options); });
  sub->add_option("KIND", options->kind, "Which kind")->required();
  sub->add_option("-n,--count", options->count, "How many (5)")->check(CLI::PositiveNumber);
  sub->add_option("--first", options->first, "Number of the first (0)");
  add_part(sub, *options);
  sub = add("show", "Say what is in a token store, and show some of it",
            [options, &globals] { show_store(*options, globals); });
  sub->add_option("STORE", options->store, "A token store")->required();
  sub->add_option("--tokenizer", options->tokenizer, "Show documents, decoded by this");
  sub->add_option("-n,--count", options->count, "How many documents (5)")
      ->check(CLI::PositiveNumber);
  add_json(sub, globals);
}

}  // namespace hadal::cli
