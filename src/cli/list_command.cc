#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "cli/terminal_text.h"
#include "infer/model_store.h"

namespace hadal::cli {
namespace {

using Json = nlohmann::ordered_json;

void list(const Globals& globals) {
  const std::vector<infer::ModelFolder> folders = infer::model_folders();
  const std::vector<infer::StoredModel> models = infer::list_models(folders);
  if (globals.json) {
    Json out = Json::array();
    for (const infer::StoredModel& model : models) {
      out.push_back({{"name", model.name},
                     {"path", model.path},
                     {"bytes", model.bytes},
                     {"kind", model.kind},
                     {"bundled", model.bundled}});
    }
    fmt::print("{}\n", out.dump(-1, ' ', false, Json::error_handler_t::replace));
    return;
  }
  size_t width = 4;
  for (const infer::StoredModel& model : models) width = std::max(width, model.name.size());
  if (!models.empty()) fmt::print("{:<{}}  {:>9}  {:<6}  PATH\n", "NAME", width, "SIZE", "FORM");
  for (const infer::StoredModel& model : models) {
    fmt::print("{:<{}}  {:>9}  {:<6}  {}\n", terminal_text(model.name), width,
               format_bytes(static_cast<double>(model.bytes)), model.kind,
               terminal_text(model.path));
  }
  fmt::print(stderr, "{}looked in:", models.empty() ? "no models; " : "");
  for (const infer::ModelFolder& folder : folders) fmt::print(stderr, " {}", folder.path);
  fmt::print(stderr, "\n");
}

}  // namespace

void add_list(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(
      app, globals, "list", "List the models that can be named",
      "Looks in $HADAL_MODELS (else ~/.local/share/hadal/models) and among the bundled models.\n"
      "A model is a .gguf file or a Hugging Face folder; put yours there, or give its path.\n\n"
      "Examples:\n  hadal list\n  hadal list --json",
      [&globals] { list(globals); });
  add_json(command, globals);
}

}  // namespace hadal::cli
