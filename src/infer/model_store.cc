#include "infer/model_store.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <regex>
#include <system_error>

#include "base/error.h"

namespace hadal::infer {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

std::string own_folder() {
  if (std::string folder = environment("HADAL_MODELS"); !folder.empty()) return folder;
  if (const std::string data = environment("XDG_DATA_HOME"); !data.empty())
    return (fs::path(data) / "hadal" / "models").string();
  if (const std::string home = environment("HOME"); !home.empty())
    return (fs::path(home) / ".local" / "share" / "hadal" / "models").string();
  return "";
}

std::string bundled_folder() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  std::vector<fs::path> places;
  if (!error) {
    const fs::path bin = program.parent_path();
    places = {bin / ".." / "share" / "hadal" / "models"};  // installed
    // A build tree: build/PRESET/... somewhere below the source.
    for (fs::path at = bin; at.has_relative_path(); at = at.parent_path())
      if (fs::exists(at / "CMakePresets.json", error)) places.push_back(at / "models");
  }
  places.emplace_back(HADAL_MODELS_SOURCE);
  for (const fs::path& place : places)
    if (is_folder(place)) return place.lexically_normal().string();
  return "";
}

// "x-00002-of-00005": nothing but the first shard stands for the set.
const std::regex& shard_pattern() {
  static const std::regex pattern("(.*)-([0-9]{5})-of-([0-9]{5})");
  return pattern;
}

int64_t bytes_of(const fs::path& file) {
  std::error_code error;
  const auto size = fs::file_size(file, error);
  return error ? 0 : static_cast<int64_t>(size);
}

int64_t bytes_of_set(const fs::path& first, const std::string& base, const std::string& count) {
  std::error_code error;
  int64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(first.parent_path(), error)) {
    std::smatch parts;
    const std::string stem = entry.path().stem().string();
    if (entry.path().extension() == ".gguf" && std::regex_match(stem, parts, shard_pattern()) &&
        parts[1] == base && parts[3] == count)
      bytes += bytes_of(entry.path());
  }
  return bytes;
}

// Fills all but `bundled`; false if the entry is no model.
bool read_entry(const fs::path& path, StoredModel& found) {
  std::error_code error;
  found.path = path.string();
  if (fs::is_directory(path, error)) {
    if (!fs::exists(path / "config.json", error)) return false;
    found.name = path.filename().string();
    found.kind = "hf";
    bool has_weights = false;  // a configuration alone is a recipe, or a download that goes on
    for (const auto& entry : fs::directory_iterator(path, error)) {
      if (!entry.is_regular_file(error)) continue;
      found.bytes += bytes_of(entry.path());
      has_weights |= entry.path().extension() == ".safetensors";
    }
    return has_weights;
  }
  if (path.extension() != ".gguf" || !fs::is_regular_file(path, error)) return false;
  found.name = path.stem().string();
  found.kind = "gguf";
  std::smatch parts;
  if (std::regex_match(found.name, parts, shard_pattern())) {
    if (parts[2] != "00001") return false;
    const std::string base = parts[1], count = parts[3];
    found.bytes = bytes_of_set(path, base, count);
    found.name = base;
    return true;
  }
  found.bytes = bytes_of(path);
  return true;
}

// Levenshtein's distance.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

bool looks_like_path(std::string_view text) {
  return text.find('/') != std::string_view::npos || text.ends_with(".gguf") || text == "." ||
         text == "..";
}

[[noreturn]] void fail_unknown(std::string_view name, const std::vector<StoredModel>& models,
                               const std::vector<ModelFolder>& folders) {
  std::string known, nearest;
  size_t best = std::max<size_t>(2, name.size() / 3) + 1;
  for (const StoredModel& model : models) {
    known += known.empty() ? "" : ", ";
    known += model.name;
    const size_t d = distance(name, model.name);
    const bool begins = !name.empty() && model.name.starts_with(name);
    if (begins ? best > 0 : d < best) {
      best = begins ? 0 : d;
      nearest = model.name;
    }
  }
  if (known.empty()) {
    std::string places;
    for (const ModelFolder& folder : folders) {
      places += places.empty() ? "" : ", ";
      places += folder.path;
    }
    fail(ErrorKind::file, "no model {}, neither a path nor a name: there are no models in {}", name,
         places.empty() ? "any folder (set HADAL_MODELS)" : places);
  }
  if (nearest.empty()) fail(ErrorKind::file, "no model {}; known: {}", name, known);
  fail(ErrorKind::file, "no model {}; known: {}; did you mean {}?", name, known, nearest);
}

}  // namespace

std::vector<ModelFolder> model_folders() {
  std::vector<ModelFolder> folders;
  if (std::string own = own_folder(); !own.empty()) folders.push_back({std::move(own), false});
  if (std::string bundled = bundled_folder(); !bundled.empty())
    folders.push_back({std::move(bundled), true});
  return folders;
}

std::vector<StoredModel> list_models(const std::vector<ModelFolder>& folders) {
  std::vector<StoredModel> models;
  for (const ModelFolder& folder : folders) {
    std::vector<StoredModel> here;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder.path, error)) {
      StoredModel found;
      if (!read_entry(entry.path(), found)) continue;
      found.bundled = folder.bundled;
      here.push_back(std::move(found));
    }
    std::sort(here.begin(), here.end(), [](const StoredModel& a, const StoredModel& b) {
      return a.name != b.name ? a.name < b.name : a.path < b.path;
    });
    for (StoredModel& model : here)
      if (std::none_of(models.begin(), models.end(),
                       [&](const StoredModel& m) { return m.name == model.name; }))
        models.push_back(std::move(model));
  }
  return models;
}

std::string find_model(std::string_view name_or_path, const std::vector<ModelFolder>& folders) {
  const std::vector<StoredModel> models = list_models(folders);
  if (name_or_path.empty()) {
    const auto bundled = std::find_if(models.begin(), models.end(),
                                      [](const StoredModel& model) { return model.bundled; });
    if (bundled != models.end()) return bundled->path;
    fail(ErrorKind::file, "no model is bundled with this build: name a model or a path");
  }
  // A name of the list comes before a path of the same spelling, unless it looks like a path.
  if (!looks_like_path(name_or_path))
    for (const StoredModel& model : models)
      if (model.name == name_or_path) return model.path;
  std::error_code error;
  if (fs::exists(fs::path(name_or_path), error)) return std::string(name_or_path);
  if (looks_like_path(name_or_path))
    fail(ErrorKind::file, "{}: no such file or folder", name_or_path);
  fail_unknown(name_or_path, models, folders);
}

std::string find_model(std::string_view name_or_path) {
  return find_model(name_or_path, model_folders());
}

}  // namespace hadal::infer
