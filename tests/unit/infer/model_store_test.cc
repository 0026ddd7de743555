#include "infer/model_store.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"

namespace hadal::infer {
namespace {

namespace fs = std::filesystem;

class ModelStore : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("hadal-store-" + std::to_string(::getpid()));
    fs::remove_all(root_);
    own_ = root_ / "own";
    shipped_ = root_ / "shipped";
    write(own_ / "tiny-v3.gguf", 10);
    write(own_ / "both.gguf", 11);
    write(own_ / "folder" / "config.json", 5);
    write(own_ / "folder" / "model.safetensors", 100);
    write(own_ / "split-00001-of-00002.gguf", 20);
    write(own_ / "split-00002-of-00002.gguf", 22);
    write(own_ / "notes.txt", 3);
    write(own_ / "empty" / "readme", 3);
    write(shipped_ / "both.gguf", 12);  // hidden by the one above
    write(shipped_ / "seed.gguf", 13);
    write(shipped_ / "recipe" / "config.json", 5);  // without weights: no model
    folders_ = {
        {(root_ / "missing").string(), false}, {own_.string(), false}, {shipped_.string(), true}};
  }
  void TearDown() override { fs::remove_all(root_); }

  static void write(const fs::path& path, size_t bytes) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << std::string(bytes, 'x');
  }

  std::string message(std::string_view name) {
    try {
      return "found " + find_model(name, folders_);
    } catch (const Error& error) {
      return error.what();
    }
  }

  fs::path root_, own_, shipped_;
  std::vector<ModelFolder> folders_;
};

TEST_F(ModelStore, ListsModelsOnce) {
  std::string listed;
  for (const StoredModel& m : list_models(folders_))
    listed += m.name + ":" + m.kind + ":" + std::to_string(m.bytes) + (m.bundled ? "* " : " ");
  EXPECT_EQ(listed, "both:gguf:11 folder:hf:105 split:gguf:42 tiny-v3:gguf:10 seed:gguf:13* ");
}

TEST_F(ModelStore, FindsByNameAndByPath) {
  EXPECT_EQ(find_model("tiny-v3", folders_), (own_ / "tiny-v3.gguf").string());
  EXPECT_EQ(find_model("both", folders_), (own_ / "both.gguf").string());
  EXPECT_EQ(find_model("split", folders_), (own_ / "split-00001-of-00002.gguf").string());
  EXPECT_EQ(find_model("folder", folders_), (own_ / "folder").string());
  const std::string path = (own_ / "empty").string();
  EXPECT_EQ(find_model(path, folders_), path) << "a path is the caller's business";
}

TEST_F(ModelStore, TheBundledModelIsTheDefault) {
  EXPECT_EQ(find_model("", folders_), (shipped_ / "seed.gguf").string());
  folders_.pop_back();
  EXPECT_NE(message("").find("no model is bundled"), std::string::npos);
}

TEST_F(ModelStore, UnknownNamesGetHelp) {
  EXPECT_NE(message("tiny-v2").find("did you mean tiny-v3?"), std::string::npos);
  EXPECT_NE(message("tin").find("did you mean tiny-v3?"), std::string::npos);
  EXPECT_NE(message("tiny-v2").find("known: both, folder, split, tiny-v3, seed"),
            std::string::npos);
  EXPECT_EQ(message("qqqqqqqqqqq").find("did you mean"), std::string::npos);
  EXPECT_NE(message("./none.gguf").find("no such file"), std::string::npos);
  folders_ = {{(root_ / "missing").string(), false}};
  EXPECT_NE(message("x").find("there are no models in"), std::string::npos);
}

TEST_F(ModelStore, FoldersFollowTheEnvironment) {
  const auto first = [] { return model_folders().at(0).path; };
  ::setenv("HADAL_MODELS", "/a", 1);
  ::setenv("XDG_DATA_HOME", "/b", 1);
  EXPECT_EQ(first(), "/a");
  ::unsetenv("HADAL_MODELS");
  EXPECT_EQ(first(), "/b/hadal/models");
  ::unsetenv("XDG_DATA_HOME");
  ::setenv("HOME", "/c", 1);
  EXPECT_EQ(first(), "/c/.local/share/hadal/models");
}

}  // namespace
}  // namespace hadal::infer
