// hadal replay: whether an answer was what its receipt says.
#include <fstream>
#include <iterator>
#include <memory>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "infer/model_store.h"
#include "server/api_error.h"
#include "server/bind.h"
#include "server/constraints.h"
#include "server/json_fields.h"
#include "server/receipt.h"

namespace hadal::cli {
namespace {

struct Options {
  std::string receipt, model, request;
};

std::string read_text(const std::string& path) {
  std::ifstream file(path == "-" ? "/dev/stdin" : path, std::ios::binary);
  if (!file) fail(ErrorKind::file, "{}: cannot be opened", path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The prompt of the request whose body is in the file.
std::vector<int32_t> prompt_of(const server::ServedModel& model, const std::string& path) {
  try {
    const server::Json body = server::parse_body(read_text(path));
    server::Bound bound;
    if (body.is_object() && body.contains("messages")) {
      return server::chat_prompt(model, server::read_chat_request(body), bound);
    }
    bound = server::bind_completion(model, server::read_completion_request(body), {});
    return bound.choices.front().prompt;
  } catch (const server::ApiError& error) {
    fail(ErrorKind::usage, "{}: {}", path, error.what());
  }
}

// "" of a model that cannot be read, which is another one.
std::string hash_of(const std::string& path) {
  try {
    return server::hash_model(path);
  } catch (const Error&) {
    return "";
  }
}

// The model of the receipt among those of the list: files may be named otherwise than what they
// hold.
std::string find_model(const server::Receipt& receipt) {
  const auto models = infer::list_models(infer::model_folders());
  for (const infer::StoredModel& model : models)
    if (model.name == receipt.model) return model.path;
  for (const infer::StoredModel& model : models)
    if (hash_of(model.path) == receipt.model_hash) return model.path;
  return infer::find_model(receipt.model);
}

void replay(const Options& options, const Globals& globals) {
  server::Receipt receipt = server::read_receipt(read_text(options.receipt));
  server::ModelOptions model_options;
  model_options.path =
      options.model.empty() ? find_model(receipt) : infer::find_model(options.model);
  model_options.threads = globals.threads;
  model_options.any_name = true;
  model_options.precision = receipt.precision == "f32"    ? model::Precision::f32
                            : receipt.precision == "bf16" ? model::Precision::bf16
                                                          : model::Precision::native;
  const auto model = server::open_served(model_options);
  if (model->hash != receipt.model_hash) {
    fail(ErrorKind::format, "{} is not the model of the receipt: its hash is {}, not {}",
         model_options.path, model->hash, receipt.model_hash);
  }
  if (model->fingerprint != receipt.fingerprint) {
    fmt::print(stderr,
               "note: the receipt was made with other kernels or another cache type ({}, here {}): "
               "answers may differ for that reason alone\n",
               receipt.fingerprint, model->fingerprint);
  }
  if (!options.request.empty()) receipt.request.prompt = prompt_of(*model, options.request);
  if (receipt.request.prompt.empty()) {
    fail(ErrorKind::usage,
         "the receipt has the prompt's hash only: give the request's body with --request");
  }
  if (server::hash_ids(receipt.request.prompt) != receipt.prompt_hash) {
    fail(ErrorKind::format, "the prompt is not the one that the receipt was made for");
  }
  try {
    receipt.request.constraint = model->constraints->get(*model, receipt.constraint);
  } catch (const server::ApiError& error) {
    fail(ErrorKind::format, "the receipt's constraint: {}", error.what());
  }
  for (const server::ReceiptOutput& output : receipt.outputs) {
    infer::Request request = receipt.request;
    request.stream = output.stream;
    request.sampling.seed = output.seed;
    const infer::GenerateResult result = model->engine->generate(std::move(request));
    if (server::hash_ids(result.tokens) != output.hash) {
      fail(ErrorKind::format, "answer {} is another one: {} tokens were given, {} come out here",
           output.stream, output.tokens, result.tokens.size());
    }
    fmt::print("answer {}: {} tokens, the same\n", output.stream, output.tokens);
  }
}

}  // namespace

void add_replay(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, globals, "replay", "Compute an answer again and compare it with its receipt",
      "Receipts come with answers to requests that say \"x_hadal\": {\"receipt\": true}, or\n"
      "\"full\", which can be replayed without the request.\n\n"
      "Examples:\n"
      "  hadal replay response.json --request request.json\n"
      "  hadal replay receipt.json --model seed-q8_0",
      [options, &globals] { replay(*options, globals); });
  command->add_option("RECEIPT", options->receipt, "A receipt, or a response that has one")
      ->required();
  command->add_option("-m,--model", options->model,
                      "The model; else found by its name or its hash");
  command->add_option("--request", options->request, "The body of the request")->type_name("FILE");
  add_threads(command, globals);
}

}  // namespace hadal::cli
