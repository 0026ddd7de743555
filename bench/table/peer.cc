#include "peer.h"

#include <algorithm>
#include <sstream>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "process.h"

namespace hadal::bench {
namespace {

std::string stem_of(std::string_view model) {
  return std::string(model.ends_with(".gguf") ? model.substr(0, model.size() - 5) : model);
}

std::vector<std::string> command_for(const Peer& peer, const std::string& path) {
  std::vector<std::string> command = peer.command;
  bool named = false;
  for (std::string& word : command) {
    const size_t at = word.find("{model}");
    if (at == std::string::npos) continue;
    word.replace(at, 7, path);
    named = true;
  }
  if (!named) command.insert(command.end(), {"-m", path + ".gguf"});
  return command;
}

// The flags of a row; nothing if the program has none for it.
std::vector<std::string> flags_for(const Work& work, const std::string& help, int repetitions) {
  const std::string tokens = std::to_string(work.tokens), count = std::to_string(repetitions);
  if (work.batch > 1 || work.kind == Kind::memory) return {};
  if (work.kind == Kind::prefill) return {"-p", tokens, "-n", "0", "-r", count};
  if (work.kind == Kind::first_token) {
    std::vector<std::string> flags = {"-p", tokens, "-n", "0", "-r", "1"};
    if (help.find("--no-warmup") != std::string::npos) {
      flags.emplace_back("--no-warmup");
    } else {
      flags.insert(flags.end(), {"-w", "0"});
    }
    return flags;
  }
  if (work.depth == 0) return {"-p", "0", "-n", tokens, "-r", count};
  const std::string depth = std::to_string(work.depth);
  if (help.find("--n-depth") != std::string::npos)
    return {"-p", "0", "-n", tokens, "-d", depth, "-r", count};
  if (help.find("-gp") != std::string::npos)
    return {"-p", "0", "-n", "0", "-gp", depth + "," + tokens, "-r", count};
  return {};
}

}  // namespace

std::optional<Peer> parse_peer(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) return std::nullopt;
  Peer peer;
  const std::string left = text.substr(0, equals);
  const size_t at = left.find('@');
  peer.name = left.substr(0, at);
  if (at != std::string::npos) {
    std::istringstream models(left.substr(at + 1));
    for (std::string model; std::getline(models, model, ',');) peer.models.push_back(model);
  }
  std::istringstream words(text.substr(equals + 1));
  for (std::string word; words >> word;) peer.command.push_back(word);
  if (peer.name.empty() || peer.command.empty()) return std::nullopt;
  return peer;
}

std::vector<double> parse_samples(const std::string& output) {
  // Programs print warnings into the middle of their JSON: only the list itself is read.
  const size_t key = output.rfind("\"samples_ts\":");
  if (key == std::string::npos) return {};
  const size_t begin = output.find('[', key), end = output.find(']', key);
  if (begin == std::string::npos || end == std::string::npos || end < begin) return {};
  const auto samples = nlohmann::json::parse(output.substr(begin, end - begin + 1), nullptr, false);
  if (!samples.is_array()) return {};
  std::vector<double> out;
  for (const auto& sample : samples)
    if (sample.is_number()) out.push_back(sample.get<double>());
  return out;
}

PeerSamples measure_peer(const Peer& peer, const Work& work, const std::string& folder,
                         int repetitions, int threads) {
  const std::string stem = stem_of(work.model);
  if (!work.model.ends_with(".gguf")) return {{}, "reads GGUF files only"};
  const auto& models = peer.models;
  if (!models.empty() && std::find(models.begin(), models.end(), stem) == models.end())
    return {{}, "is for other models"};
  const std::string help = run_process({peer.command.front(), "--help"}).out;
  const std::vector<std::string> flags = flags_for(work, help, repetitions);
  if (flags.empty()) return {{}, "has no measurement of this kind"};
  std::vector<std::string> command = command_for(peer, folder + "/" + stem);
  command.insert(command.end(), flags.begin(), flags.end());
  command.insert(command.end(), {"-t", std::to_string(threads), "-o", "json"});
  const Finished done = run_process(command);
  if (done.code != 0)
    return {{},
            fmt::format("ended with {}: {}", done.code,
                        done.err.substr(done.err.size() - std::min<size_t>(300, done.err.size())))};
  if (work.kind == Kind::first_token) return {{done.seconds}, ""};
  std::vector<double> samples = parse_samples(done.out);
  const char* error = samples.empty() ? "printed no samples" : "";
  return {std::move(samples), error};
}

}  // namespace hadal::bench
