// hadal key: who may use the server.
#include <ctime>
#include <memory>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/paths.h"
#include "server/keys.h"

namespace hadal::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string file, name;
  int64_t requests_per_minute = -1, concurrent = -1, context_tokens = -1, tokens = -1;
  std::string path() const {
    if (!file.empty()) return file;
    return data_home().empty() ? "" : data_home() + "/keys.json";
  }
  // Limits that were given replace those that are there.
  void apply(server::KeyLimits& limits) const {
    if (requests_per_minute >= 0) limits.requests_per_minute = requests_per_minute;
    if (concurrent >= 0) limits.concurrent = concurrent;
    if (context_tokens >= 0) limits.context_tokens = context_tokens;
    if (tokens >= 0) limits.tokens = tokens;
  }
};

std::string limits_text(const server::KeyLimits& limits) {
  std::string text;
  const auto put = [&](int64_t value, const char* what) {
    if (value > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", value, what);
  };
  put(limits.requests_per_minute, "requests/min");
  put(limits.concurrent, "at a time");
  put(limits.context_tokens, "tokens of context");
  put(limits.tokens, "tokens in all");
  return text.empty() ? "no limits" : text;
}

void create(const Options& options, bool json) {
  server::KeyLimits limits;
  options.apply(limits);
  server::KeyFile file(options.path());
  for (const server::KeyRecord& key : file.keys()) {
    if (key.name == options.name && !key.revoked) {
      fail(ErrorKind::usage, "there is a key for '{}' already: {}", options.name, key.id);
    }
  }
  const server::NewKey made = server::make_key(options.name, limits);
  file.keys().push_back(made.record);
  file.write();
  if (json) {
    const Json value = {{"id", made.record.id}, {"name", options.name}, {"key", made.key}};
    fmt::print("{}\n", value.dump(-1, ' ', false, Json::error_handler_t::replace));
    return;
  }
  fmt::print("{}\n", made.key);
  fmt::print(stderr, "{} for {}: {}. The key is not kept: note it now.\n", made.record.id,
             options.name, limits_text(limits));
}

void list(const Options& options, bool json) {
  const std::vector<server::KeyRecord> keys = server::read_keys(options.path());
  const server::KeyUsage usage = server::read_usage(options.path());
  Json array = Json::array();
  for (const server::KeyRecord& key : keys) {
    int64_t used = 0;
    for (const auto& [id, tokens] : usage) {
      if (id == key.id) used = tokens;
    }
    if (json) {
      array.push_back({{"id", key.id},
                       {"name", key.name},
                       {"created", key.created},
                       {"revoked", key.revoked},
                       {"requests_per_minute", key.limits.requests_per_minute},
                       {"concurrent", key.limits.concurrent},
                       {"context_tokens", key.limits.context_tokens},
                       {"tokens", key.limits.tokens},
                       {"tokens_used", used}});
    } else {
      fmt::print("{}  {:%Y-%m-%d}  {:<20} {}{}, {} tokens used\n", key.id,
                 fmt::gmtime(static_cast<std::time_t>(key.created)), key.name,
                 key.revoked ? "REVOKED, " : "", limits_text(key.limits), used);
    }
  }
  if (json) fmt::print("{}\n", array.dump(-1, ' ', false, Json::error_handler_t::replace));
  if (!json && keys.empty()) fmt::print(stderr, "no keys in {}\n", options.path());
}

void limit(const Options& options) {
  server::KeyFile file(options.path());
  server::KeyRecord& key = file.find(options.name);
  options.apply(key.limits);
  const std::string text = fmt::format("{}: {}", key.id, limits_text(key.limits));
  file.write();
  fmt::print(stderr, "{}\n", text);
}

void revoke(const Options& options) {
  server::KeyFile file(options.path());
  server::KeyRecord& key = file.find(options.name);
  key.revoked = true;
  const std::string id = key.id;
  file.write();
  fmt::print(stderr, "{} is revoked; a running server notices within a second or two\n", id);
}

void add_limits(CLI::App* command, Options& options) {
  const auto add = [&](const char* name, int64_t& value, const char* what) {
    command->add_option(name, value, what)
        ->check(CLI::Range(int64_t{0}, int64_t{1} << 60).description(""))
        ->default_str("")
        ->type_name("N");
  };
  add("--rpm", options.requests_per_minute, "Requests a minute (0: no bound, as below)");
  add("--concurrent", options.concurrent, "Requests at the same time");
  add("--context", options.context_tokens, "Tokens of prompt and answer of one request");
  add("--tokens", options.tokens, "Tokens of all requests, for good");
}

}  // namespace

void add_key(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, globals, "key", "Make, list, limit and revoke the server's keys",
      "The file has the keys' hashes; a key is shown once, when it is made. As soon as there is\n"
      "one, the server takes no request without.\n\n"
      "Examples:\n"
      "  hadal key create laptop\n"
      "  hadal key create guest --rpm 20 --concurrent 2 --tokens 1000000\n"
      "  hadal key limit guest --tokens 2000000\n"
      "  hadal key revoke guest\n"
      "  hadal key list",
      [] {});
  command->require_subcommand(1);
  command->callback([] {});  // it runs after that of the subcommand, which says what to do
  const auto add = [&](const char* name, const char* what, std::function<void()> run) {
    CLI::App* sub = command->add_subcommand(name, what);
    sub->add_option("--keys", options->file, "The file (~/.local/share/hadal/keys.json)")
        ->type_name("FILE");
    sub->callback([&globals, run = std::move(run)] {
      globals.selected = "key";
      globals.run = run;
    });
    return sub;
  };
  CLI::App* create_command = add("create", "Make a key and print it",
                                 [options, &globals] { create(*options, globals.json); });
  create_command->add_option("NAME", options->name, "Whose it is")->required();
  add_limits(create_command, *options);
  add_json(create_command, globals);
  add_json(add("list", "List the keys", [options, &globals] { list(*options, globals.json); }),
           globals);
  CLI::App* limit_command = add("limit", "Change limits", [options] { limit(*options); });
  limit_command->add_option("KEY", options->name, "Id or name")->required();
  add_limits(limit_command, *options);
  CLI::App* revoke_command = add("revoke", "Make a key useless", [options] { revoke(*options); });
  revoke_command->add_option("KEY", options->name, "Id or name")->required();
}

}  // namespace hadal::cli
