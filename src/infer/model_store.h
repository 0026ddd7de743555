// Models by name. A model is a *.gguf file or a folder with config.json, in one of the model
// folders; its name is the file's name without .gguf, or the folder's name. The first folder that
// has a name wins.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hadal::infer {

struct ModelFolder {
  std::string path;
  bool bundled = false;  // shipped with Hadal, read only
};

// $HADAL_MODELS if set, else $XDG_DATA_HOME/hadal/models, else ~/.local/share/hadal/models; then
// the bundled folder where it is found: beside the program's build tree, its installation, or its
// source. A folder of the list need not exist, except the bundled one.
std::vector<ModelFolder> model_folders();

struct StoredModel {
  std::string name;
  std::string path;
  int64_t bytes = 0;  // all files of the model (of a split set: all shards)
  std::string kind;   // "gguf" or "hf"
  bool bundled = false;
};

// By name; of split sets the first shard. Files that cannot be read are left out: listing never
// fails.
std::vector<StoredModel> list_models(const std::vector<ModelFolder>& folders);

// A path (if it exists, or looks like one), a name, or "" for the bundled model, as a path for
// open_model. Throws Error(file) that lists the known names and the nearest one.
std::string find_model(std::string_view name_or_path, const std::vector<ModelFolder>& folders);
std::string find_model(std::string_view name_or_path);

}  // namespace hadal::infer
