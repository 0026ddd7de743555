#include "cli/train_settings.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include <fmt/ranges.h>

#include "base/error.h"
#include "cli/config_file.h"
#include "cli/suggest.h"

namespace hadal::cli {
namespace {

namespace fs = std::filesystem;

// A value of the file and where it stands, for messages.
struct Value {
  const ConfigEntry& entry;
  std::string base;  // the folder that paths are relative to

  [[noreturn]] void wrong(const std::string& expected) const {
    fail(ErrorKind::usage, "{}: {}.{} = {}; expected {}", entry.origin, entry.section, entry.key,
         fmt::join(entry.values, ", "), expected);
  }
  const std::string& text() const {
    if (entry.values.size() != 1) wrong("one value");
    return entry.values.front();
  }
  double number_of(const std::string& text, double low, double high) const {
    double out = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc{} || end != text.data() + text.size() || !(out >= low && out <= high))
      wrong(fmt::format("a number from {} to {}", low, high));
    return out;
  }
  double number(double low, double high) const { return number_of(text(), low, high); }
  int64_t integer(int64_t low, int64_t high) const {
    const double out = number(static_cast<double>(low), static_cast<double>(high));
    if (out != std::floor(out)) wrong("a whole number");
    return static_cast<int64_t>(out);
  }
  bool flag() const {
    if (text() != "true" && text() != "false") wrong("true or false");
    return text() == "true";
  }
  std::string path_of(const std::string& text) const {
    return fs::path(text).is_absolute() || base.empty() ? text : (fs::path(base) / text).string();
  }
  std::string path() const { return path_of(text()); }
  template <class T>
  T one_of(std::initializer_list<std::pair<const char*, T>> choices) const {
    std::vector<std::string> names;
    for (const auto& [name, value] : choices) {
      if (text() == name) return value;
      names.emplace_back(name);
    }
    wrong(fmt::format("{}", fmt::join(names, " or ")) + did_you_mean(text(), names));
  }
  std::vector<double> numbers() const {
    std::vector<double> out;
    for (const std::string& item : entry.values) out.push_back(number_of(item, 0, 1e9));
    return out;
  }
};

struct Reading {
  TrainSettings settings;
  std::vector<std::string> sources;
  std::vector<double> weights;
};

struct Key {
  const char* name;
  std::function<void(const Value&, Reading&)> read;
};

constexpr int64_t most = int64_t{1} << 40;

void add_run_keys(std::vector<Key>& keys) {
  const std::initializer_list<Key> more = {
      {"run.out", [](const Value& v, Reading& r) { r.settings.out = v.path(); }},
      {"run.seed",
       [](const Value& v, Reading& r) {
         r.settings.train.seed = static_cast<uint64_t>(v.integer(0, most));
       }},
      {"run.steps",
       [](const Value& v, Reading& r) { r.settings.train.steps = v.integer(0, most); }},
      {"run.budget",
       [](const Value& v, Reading& r) {
         r.settings.train.budget_s = parse_duration(v.text(), v.entry.origin);
       }},
      {"run.precision",
       [](const Value& v, Reading& r) {
         r.settings.train.precision = v.one_of<model::Precision>(
             {{"bf16", model::Precision::native}, {"f32", model::Precision::f32}});
       }},
      {"run.recompute", [](const Value& v, Reading& r) { r.settings.train.recompute = v.flag(); }},
      {"run.measure", [](const Value& v, Reading& r) { r.settings.measure = v.flag(); }},
      {"model.config", [](const Value& v, Reading& r) { r.settings.config = v.path(); }},
      {"model.start", [](const Value& v, Reading& r) { r.settings.start = v.path(); }},
      {"model.tokenizer", [](const Value& v, Reading& r) { r.settings.tokenizer = v.path(); }},
      {"checkpoint.minutes",
       [](const Value& v, Reading& r) { r.settings.train.checkpoint_minutes = v.number(0, 1e6); }},
      {"checkpoint.steps",
       [](const Value& v, Reading& r) { r.settings.train.checkpoint_steps = v.integer(0, most); }},
      {"checkpoint.keep",
       [](const Value& v, Reading& r) { r.settings.train.keep = v.integer(1, 1000000); }},
      {"samples.prompts", [](const Value& v, Reading& r) { r.settings.prompts = v.entry.values; }},
      {"samples.tokens",
       [](const Value& v, Reading& r) { r.settings.sample_tokens = v.integer(1, 4096); }},
      {"samples.temperature",
       [](const Value& v, Reading& r) { r.settings.temperature = v.number(0, 10); }},
      {"cost.per_hour",
       [](const Value& v, Reading& r) { r.settings.price_per_hour = v.number(0, 1e6); }},
  };
  keys.insert(keys.end(), more);
}

void add_data_keys(std::vector<Key>& keys) {
  const std::initializer_list<Key> more = {
      {"data.sources",
       [](const Value& v, Reading& r) {
         r.sources.clear();
         for (const std::string& path : v.entry.values) r.sources.push_back(v.path_of(path));
       }},
      {"data.weights", [](const Value& v, Reading& r) { r.weights = v.numbers(); }},
      {"data.length",
       [](const Value& v, Reading& r) {
         r.settings.train.data.length = v.integer(2, int64_t{1} << 20);
       }},
      {"data.sequences",
       [](const Value& v, Reading& r) {
         r.settings.train.data.rows = v.integer(1, int64_t{1} << 20);
       }},
      {"data.part",
       [](const Value& v, Reading& r) {
         r.settings.train.part_rows = v.integer(1, int64_t{1} << 20);
       }},
      {"data.shards",
       [](const Value& v, Reading& r) { r.settings.train.shards = v.integer(0, 4096); }},
      {"data.late_from",
       [](const Value& v, Reading& r) { r.settings.train.late_from = v.number(0, 1); }},
      {"data.late_weights",
       [](const Value& v, Reading& r) { r.settings.train.late_weights = v.numbers(); }},
  };
  keys.insert(keys.end(), more);
}

// A key whose value is a number within bounds, and where it goes.
Key number_key(const char* name, double low, double high,
               std::function<double&(train::TrainOptions&)> place) {
  return {name, [low, high, place = std::move(place)](const Value& v, Reading& r) {
            place(r.settings.train) = v.number(low, high);
          }};
}

void add_lora_keys(std::vector<Key>& keys) {
  using Options = train::TrainOptions;
  const std::initializer_list<Key> more = {
      {"lora.rank",
       [](const Value& v, Reading& r) { r.settings.train.lora.rank = v.integer(0, 4096); }},
      number_key("lora.alpha", 0, 1e6, [](Options& o) -> double& { return o.lora.alpha; }),
      {"lora.targets",
       [](const Value& v, Reading& r) {
         train::Lora& lora = r.settings.train.lora;
         const auto has = [&](const char* name) {
           return std::count(v.entry.values.begin(), v.entry.values.end(), name);
         };
         lora.attention = has("attention") > 0;
         lora.experts = has("experts") > 0;
         const auto known = static_cast<size_t>(has("attention") + has("experts"));
         if (known == 0 || known != v.entry.values.size()) v.wrong("attention, experts or both");
       }},
  };
  keys.insert(keys.end(), more);
}

void add_learning_keys(std::vector<Key>& keys) {
  using Options = train::TrainOptions;
  const std::initializer_list<Key> more = {
      {"optimizer.rule",
       [](const Value& v, Reading& r) {
         r.settings.train.optimizer.muon = v.one_of<bool>({{"muon", true}, {"adamw", false}});
       }},
      {"optimizer.muon_scale",
       [](const Value& v, Reading& r) {
         r.settings.train.optimizer.scale =
             v.one_of<train::MuonScale>({{"match_rms_adamw", train::MuonScale::match_rms_adamw},
                                         {"original", train::MuonScale::original}});
       }},
      number_key("optimizer.lr", 0, 10,
                 [](Options& o) -> double& { return o.optimizer.matrix.rate; }),
      number_key("optimizer.embedding_lr", 0, 10,
                 [](Options& o) -> double& { return o.optimizer.embedding.rate; }),
      number_key("optimizer.router_lr", 0, 10,
                 [](Options& o) -> double& { return o.optimizer.router.rate; }),
      number_key("optimizer.vector_lr", 0, 10,
                 [](Options& o) -> double& { return o.optimizer.vector.rate; }),
      number_key("optimizer.weight_decay", 0, 10,
                 [](Options& o) -> double& { return o.optimizer.matrix.decay; }),
      number_key("optimizer.embedding_decay", 0, 10,
                 [](Options& o) -> double& { return o.optimizer.embedding.decay; }),
      number_key("optimizer.router_decay", 0, 10,
                 [](Options& o) -> double& { return o.optimizer.router.decay; }),
      number_key("optimizer.beta1", 0, 0.9999,
                 [](Options& o) -> double& { return o.optimizer.beta1; }),
      number_key("optimizer.beta2", 0, 0.99999,
                 [](Options& o) -> double& { return o.optimizer.beta2; }),
      number_key("optimizer.eps", 1e-30, 1, [](Options& o) -> double& { return o.optimizer.eps; }),
      number_key("optimizer.momentum", 0, 0.9999,
                 [](Options& o) -> double& { return o.optimizer.momentum; }),
      number_key("optimizer.clip", 0, 1e9, [](Options& o) -> double& { return o.optimizer.clip; }),
      number_key("optimizer.average", 0, 0.999999,
                 [](Options& o) -> double& { return o.optimizer.average; }),
      {"schedule.shape",
       [](const Value& v, Reading& r) {
         r.settings.train.schedule.shape = v.one_of<train::Schedule::Shape>(
             {{"wsd", train::Schedule::Shape::wsd}, {"cosine", train::Schedule::Shape::cosine}});
       }},
      number_key("schedule.warmup", 0, 0.99,
                 [](Options& o) -> double& { return o.schedule.warmup; }),
      number_key("schedule.decay", 0, 1, [](Options& o) -> double& { return o.schedule.decay; }),
      number_key("schedule.floor", 0, 1, [](Options& o) -> double& { return o.schedule.floor; }),
      {"loss.mtp",
       [](const Value& v, Reading& r) {
         r.settings.train.loss.mtp = static_cast<float>(v.number(0, 100));
       }},
      {"loss.balance",
       [](const Value& v, Reading& r) {
         r.settings.train.loss.balance = static_cast<float>(v.number(0, 100));
       }},
      number_key("loss.mtp_from", 0, 1, [](Options& o) -> double& { return o.mtp_from; }),
      number_key("loss.balance_speed", 0, 1, [](Options& o) -> double& { return o.balance_speed; }),
  };
  keys.insert(keys.end(), more);
}

const std::vector<Key>& all_keys() {
  static const std::vector<Key> keys = [] {
    std::vector<Key> out;
    add_run_keys(out);
    add_data_keys(out);
    add_lora_keys(out);
    add_learning_keys(out);
    return out;
  }();
  return keys;
}

void apply(const std::vector<ConfigEntry>& entries, const std::string& base, Reading& reading) {
  for (const ConfigEntry& entry : entries) {
    const std::string name = entry.section + "." + entry.key;
    const auto found = std::find_if(all_keys().begin(), all_keys().end(),
                                    [&](const Key& key) { return name == key.name; });
    if (found == all_keys().end()) {
      std::vector<std::string> names;
      for (const Key& key : all_keys()) names.emplace_back(key.name);
      fail(ErrorKind::usage, "{}: there is no key {}{}", entry.origin, name,
           did_you_mean(name, names));
    }
    found->read({entry, base}, reading);
  }
}

// "data.length=256" as a file would say it; what is no TOML value is text.
std::vector<ConfigEntry> parse_change(const std::string& change) {
  const size_t equals = change.find('=');
  const size_t dot = change.find('.');
  if (equals == std::string::npos || dot == std::string::npos || dot > equals)
    fail(ErrorKind::usage, "--set {}: expected table.key=value, as data.length=256", change);
  const std::string head =
      fmt::format("[{}]\n{} = ", change.substr(0, dot), change.substr(dot + 1, equals - dot - 1));
  const std::string value = change.substr(equals + 1);
  std::vector<ConfigEntry> entries;
  try {
    entries = parse_config(head + value + "\n", "--set");
  } catch (const Error&) {
    std::string quoted;
    for (const char c : value) {
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += c;
    }
    entries = parse_config(head + "\"" + quoted + "\"\n", "--set");
  }
  for (ConfigEntry& entry : entries) entry.origin = "--set";
  return entries;
}

void finish(Reading& reading, const std::string& path) {
  TrainSettings& s = reading.settings;
  train::TrainOptions& o = s.train;
  const auto require = [&](bool good, const char* what) {
    if (!good) fail(ErrorKind::usage, "{}: {}", path.empty() ? "settings" : path, what);
  };
  require(!s.out.empty(), "run.out is missing: the folder of the run");
  require((o.steps > 0) != (o.budget_s > 0), "one of run.steps and run.budget says how long");
  require(s.config.empty() != s.start.empty(),
          "one of model.config (a new model) and model.start (a checkpoint) is needed");
  require(!o.lora || !s.start.empty(),
          "lora.rank is for a model that exists: model.start names it");
  require(!reading.sources.empty(), "data.sources is missing: files that `hadal data` wrote");
  require(reading.weights.empty() || reading.weights.size() == reading.sources.size(),
          "data.weights must be as many as data.sources");
  require(o.late_weights.empty() || o.late_weights.size() == reading.sources.size(),
          "data.late_weights must be as many as data.sources");
  for (size_t i = 0; i < reading.sources.size(); ++i)
    o.data.sources.push_back(
        {reading.sources[i], reading.weights.empty() ? 1.0 : reading.weights[i]});
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(ErrorKind::file, "cannot read {}", path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

double parse_duration(const std::string& text, const std::string& origin) {
  double seconds = 0;
  const char* at = text.data();
  const char* end = at + text.size();
  bool good = at != end;
  while (good && at != end) {
    double number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    good = error == std::errc{} && next != end && number >= 0;
    if (!good) break;
    const double unit = *next == 'h' ? 3600 : *next == 'm' ? 60 : *next == 's' ? 1 : 0;
    good = unit > 0;
    seconds += number * unit;
    at = next + 1;
  }
  if (!good || !(seconds > 0 && seconds < 1e9))
    fail(ErrorKind::usage, "{}: {} is no duration; expected 2h, 90m, 1h30m or 45s", origin, text);
  return seconds;
}

TrainSettings read_train_settings(const std::string& path,
                                  const std::vector<std::string>& changes) {
  Reading reading;
  std::vector<ConfigEntry> entries;
  if (!path.empty()) entries = parse_config(read_text(path), path);
  apply(entries, fs::path(path).parent_path().string(), reading);
  for (const std::string& change : changes) {
    const std::vector<ConfigEntry> more = parse_change(change);
    apply(more, "", reading);
    entries.insert(entries.end(), more.begin(), more.end());
  }
  finish(reading, path);
  for (const ConfigEntry& entry : entries)
    reading.settings.train.settings +=
        fmt::format("{}.{} = {}\n", entry.section, entry.key, fmt::join(entry.values, ", "));
  return reading.settings;
}

}  // namespace hadal::cli
