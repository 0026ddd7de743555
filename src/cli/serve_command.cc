// hadal serve: the model behind the APIs of DeepSeek, OpenAI and Anthropic.
#include <cstdio>
#include <memory>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/disk_cache_option.h"
#include "cli/mtp_option.h"
#include "cli/paths.h"
#include "cli/precision_option.h"
#include "infer/model_store.h"
#include "server/serve.h"

namespace hadal::cli {
namespace {

constexpr const char* kHelpEnd =
    "Examples:\n"
    "  hadal serve                                     the bundled model on 127.0.0.1:8080\n"
    "  hadal serve r1.gguf --port 0                    a free port; stderr tells the URL\n"
    "  hadal key create laptop && hadal serve r1 --host 0.0.0.0\n"
    "                                                  for other machines, with a key\n"
    "  curl localhost:8080/v1/chat/completions -H 'content-type: application/json' \\\n"
    "    -d '{\"messages\":[{\"role\":\"user\",\"content\":\"What is 7 + 5?\"}]}'\n"
    "\n"
    "Clients of DeepSeek and OpenAI take http://HOST:PORT or .../v1 or .../beta as base URL, "
    "those\n"
    "of Anthropic .../anthropic. docs/serve.md has endpoints, fields and limits. SIGTERM ends the\n"
    "server when what runs has been answered; a second one at once.";

struct Options {
  std::string model, generation, temperature_map;
  server::ServeOptions serve;
  DiskCacheFlags disk;
  double body_mib = 32;
};

void run(Options& options, const Globals& globals) {
  server::ServeOptions& serve = options.serve;
  server::ModelOptions& model = serve.service.model;
  model.path = infer::find_model(options.model);
  model.threads = globals.threads;
  model.engine.disk = disk_cache_options(options.disk);
  if (!options.generation.empty()) {
    model.generation = tokenizer::parse_generation(options.generation);
  }
  model.map_temperature = options.temperature_map == "deepseek";
  serve.http.limits.body_bytes = static_cast<uint64_t>(options.body_mib * 1024 * 1024);
  if (serve.service.access.keys_path.empty() && !data_home().empty()) {
    serve.service.access.keys_path = data_home() + "/keys.json";
  }
  server::serve(serve, [](const std::string& url) {
    fmt::print(stderr, "listening on {}\n", url);
    std::fflush(stderr);
  });
}

void add_model(CLI::App* command, Options& options) {
  server::ModelOptions& model = options.serve.service.model;
  const char* group = "Model";
  command
      ->add_option("-c,--ctx,--ctx-size", model.engine.context_tokens,
                   "Tokens of prompt and answer together (0: as the model was trained)")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30).description(""))
      ->type_name("N")
      ->group(group);
  command
      ->add_option("--cache-tokens", model.engine.cache_tokens,
                   "Positions that the cache holds for all requests (0: by free memory)")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40).description(""))
      ->type_name("N")
      ->group(group);
  add_disk_cache(command, &options.disk, group);
  command
      ->add_option("--parallel", model.engine.sequences_max, "Requests computed at the same time")
      ->check(CLI::Range(1, 4096).description(""))
      ->type_name("N")
      ->group(group);
  command
      ->add_option("--step-tokens", model.engine.step_tokens, "The most tokens of one forward pass")
      ->check(CLI::Range(1, 1 << 20).description(""))
      ->type_name("N")
      ->group(group);
  command
      ->add_option("--max-stall", model.engine.stall_max,
                   "How many times longer a token may take while others' prompts are read (0: any)")
      ->check(CLI::Range(0.0, 1e6).description(""))
      ->type_name("X")
      ->group(group);
  command
      ->add_option("--max-tokens", model.default_max_tokens,
                   "Of answers whose request says nothing (-1: until the context is full)")
      ->type_name("N")
      ->group(group);
  command
      ->add_option("--generation", options.generation,
                   "Dialogue form instead of the model's own: v3, r1, v3.1, chatml, ...")
      ->group(group);
  command->add_option("--model-alias", model.aliases, "One more name of the model")
      ->type_name("NAME")
      ->take_all()
      ->allow_extra_args(false)
      ->default_str("")
      ->group(group);
  command->add_flag("--any-model", model.any_name, "Answer to every name")->group(group);
  command
      ->add_option("--api-temperature-map", options.temperature_map,
                   "deepseek: temperatures mean what they do in the hosted API")
      ->check(CLI::IsMember({"deepseek"}).description(""))
      ->type_name("NAME")
      ->group(group);
}

void add_network(CLI::App* command, Options& options) {
  server::HttpOptions& http = options.serve.http;
  const char* group = "Network";
  command->add_option("--host", http.host, "Address to listen on")->type_name("IP")->group(group);
  command->add_option("--port", http.port, "0: a free one")->type_name("N")->group(group);
  command->add_option("--tls-cert", http.tls_cert, "Certificate chain, PEM")
      ->type_name("FILE")
      ->group(group);
  command->add_option("--tls-key", http.tls_key, "Its key, PEM")->type_name("FILE")->group(group);
  command->add_option("--network-threads", http.threads, "Threads for connections")
      ->check(CLI::Range(1, 64).description(""))
      ->type_name("N")
      ->group(group);
  command->add_option("--max-connections", http.connections_max, "Connections at the same time")
      ->type_name("N")
      ->group(group);
  command
      ->add_option("--max-connections-per-address", http.connections_per_peer,
                   "Of them, from one address (0: no bound)")
      ->type_name("N")
      ->group(group);
  command->add_option("--max-body", options.body_mib, "Largest body of a request")
      ->check(CLI::Range(0.001, 4096.0).description(""))
      ->type_name("MIB")
      ->group(group);
  command->add_option("--write-timeout", http.write_s, "Cut clients that read nothing for so long")
      ->check(CLI::Range(0.1, 86400.0).description(""))
      ->type_name("S")
      ->group(group);
  command->add_option("--idle-timeout", http.idle_s, "Close connections without requests")
      ->check(CLI::Range(0.1, 86400.0).description(""))
      ->type_name("S")
      ->group(group);
  command
      ->add_option("--header-timeout", http.header_s, "Cut clients that don't say what they want")
      ->check(CLI::Range(0.1, 86400.0).description(""))
      ->type_name("S")
      ->group(group);
  command->add_option("--drain", http.drain_s, "After SIGTERM, time for answers to end")
      ->check(CLI::Range(0.0, 86400.0).description(""))
      ->type_name("S")
      ->group(group);
}

void add_access(CLI::App* command, Options& options) {
  server::ServiceOptions& service = options.serve.service;
  const char* group = "Access";
  command
      ->add_option("--keys", service.access.keys_path,
                   "File of keys, made by 'hadal key' (~/.local/share/hadal/keys.json)")
      ->type_name("FILE")
      ->group(group);
  command
      ->add_option("--api-key-file", service.access.plain_keys_path,
                   "Keys as plain text, one a line, beside the others")
      ->type_name("FILE")
      ->group(group);
  command
      ->add_option("--allowed-host", service.hosts.hosts,
                   "A name of this server besides localhost and addresses")
      ->type_name("NAME")
      ->take_all()
      ->allow_extra_args(false)
      ->default_str("")
      ->group(group);
  command
      ->add_option("--cors-origin", service.hosts.origins,
                   "Let pages of this origin (https://example.org) use the server")
      ->type_name("ORIGIN")
      ->take_all()
      ->allow_extra_args(false)
      ->default_str("")
      ->group(group);
}

void add_service(CLI::App* command, Options& options) {
  server::ServiceOptions& service = options.serve.service;
  const char* group = "Service";
  command
      ->add_option("--queue", service.generations_max,
                   "Requests that run or wait; more are told to come back")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20).description(""))
      ->type_name("N")
      ->group(group);
  command->add_option("--keep-alive", service.keep_alive_s, "A sign of life to clients that wait")
      ->check(CLI::Range(0.05, 3600.0).description(""))
      ->type_name("S")
      ->group(group);
  command
      ->add_flag("--openai-strict-stream", service.usage_chunk,
                 "Usage also in a chunk of its own, as OpenAI has it")
      ->group(group);
  command->add_option("--access-log", service.access_log, "JSON lines; -: stderr, \"\": none")
      ->type_name("FILE")
      ->group(group);
  server::Prices& prices = service.prices;
  const auto price = [&](const char* name, double& value, const char* what) {
    command->add_option(name, value, what)
        ->default_str("")
        ->type_name("X")
        ->group("Prices, for x_hadal.cost, of a million tokens");
  };
  price("--price-input", prices.input, "Of a prompt");
  price("--price-cached-input", prices.cached_input, "Of what the cache had");
  price("--price-output", prices.output, "Of an answer");
  price("--hosted-price-input", prices.hosted_input, "What the hosted API takes, to compare");
  price("--hosted-price-cached-input", prices.hosted_cached_input, "");
  price("--hosted-price-output", prices.hosted_output, "");
  price("--watts-per-core", prices.watts_per_core, "Where the kernel tells no energy (10)");
  command->add_option("--currency", prices.currency, "Of all prices")
      ->group("Prices, for x_hadal.cost, of a million tokens");
}

}  // namespace

void add_serve(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, globals, "serve", "Serve a model by the DeepSeek, OpenAI and Anthropic APIs",
                  kHelpEnd, [options, &globals] { run(*options, globals); });
  command->add_option("-m,--model,MODEL", options->model,
                      "Model file, Hugging Face folder, or a name from 'hadal list'");
  add_threads(command, globals);
  add_mtp(command, &options->serve.service.model.engine.drafts);
  add_precision(command, &options->serve.service.model.precision,
                "f32 under 500 million parameters, else native");
  add_model(command, *options);
  add_network(command, *options);
  add_access(command, *options);
  add_service(command, *options);
}

}  // namespace hadal::cli
