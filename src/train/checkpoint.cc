#include "train/checkpoint.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/output_file.h"
#include "base/scalar.h"
#include "format/config_write.h"
#include "format/json_guard.h"
#include "format/safetensors_write.h"
#include "train/lora.h"

namespace hadal::train {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* unfinished = ".writing-";

void write_text(const std::string& path, const std::string& text) {
  OutputFile file(path, true);
  file.write(text.data(), text.size());
  file.commit();
}

void flush_folder(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

// A folder that is filled under another name and takes its own at the end.
class NewFolder {
 public:
  explicit NewFolder(const std::string& path) : path_(path) {
    const fs::path parent = path_.parent_path().empty() ? fs::path(".") : path_.parent_path();
    temporary_ = parent / (unfinished + path_.filename().string());
    std::error_code error;
    fs::remove_all(temporary_, error);
    fs::create_directories(temporary_, error);
    if (error) fail(ErrorKind::file, "cannot make {}: {}", temporary_.string(), error.message());
  }
  ~NewFolder() {
    std::error_code ignored;
    if (!done_) fs::remove_all(temporary_, ignored);
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  std::string path() const { return temporary_.string(); }
  std::string file(const std::string& name) const { return (temporary_ / name).string(); }
  void commit() {
    flush_folder(temporary_);
    const fs::path old = temporary_.string() + "-old";
    std::error_code error, ignored;
    fs::remove_all(old, ignored);
    if (fs::exists(path_, ignored)) fs::rename(path_, old, error);
    if (!error) fs::rename(temporary_, path_, error);
    if (error) fail(ErrorKind::file, "cannot make {}: {}", path_.string(), error.message());
    done_ = true;
    flush_folder(path_.parent_path().empty() ? fs::path(".") : path_.parent_path());
    fs::remove_all(old, ignored);
  }

 private:
  fs::path path_, temporary_;
  bool done_ = false;
};

std::span<const std::byte> bytes_of(const float* data, int64_t count) {
  return std::as_bytes(std::span(data, static_cast<size_t>(count)));
}

// Rows as they count, adapters merged.
void write_values(const Parameter& p, bool bf16, format::SafetensorsWriter& writer) {
  if (p.shape.size() < 2) {
    writer.write(p.value, static_cast<size_t>(p.size()) * sizeof(float));
    return;
  }
  const auto cols = static_cast<size_t>(p.shape[1]);
  std::vector<float> row(cols);
  std::vector<uint16_t> narrow(cols);
  for (int64_t r = 0; r < p.shape[0]; ++r) {
    read_row(p, r, row.data());
    if (bf16) {
      std::transform(row.begin(), row.end(), narrow.begin(), float_to_bf16);
      writer.write(narrow.data(), cols * sizeof(uint16_t));
    } else {
      writer.write(row.data(), cols * sizeof(float));
    }
  }
}

void fill_model(const NewFolder& folder, const Parameters& parameters, const ModelFiles& files,
                bool bf16) {
  std::vector<format::SafetensorsInfo> tensors;
  for (const Parameter& p : parameters.list()) {
    // Vectors stay F32: a router's correction bias moves by thousandths.
    const bool narrow = bf16 && p.shape.size() > 1;
    if (!p.is_adapter)
      tensors.push_back({p.name, narrow ? quant::Type::BF16 : quant::Type::F32, p.shape});
  }
  format::SafetensorsWriter writer(folder.path(), std::move(tensors), true);
  for (const Parameter& p : parameters.list())
    if (!p.is_adapter) write_values(p, bf16, writer);
  writer.finish();
  write_text(folder.file("config.json"),
             format::hf_config_text(files.config, bf16 ? "bfloat16" : "float32"));
  for (const format::SideFile& side : files.side_files)
    write_text(folder.file(side.name), side.text);
}

// What is kept beside the model: the optimizer's state, and adapters, which the model has merged.
std::vector<Optimizer::State> resumed_state(Parameters& parameters,
                                            std::vector<Optimizer::State> out) {
  for (Parameter& p : parameters.list())
    if (p.is_adapter) out.push_back({p.name, p.shape, p.value, p.size()});
  return out;
}

}  // namespace

std::string checkpoint_name(int64_t step) {
  return fmt::format("step-{:08}", step);
}

std::vector<std::string> list_checkpoints(const std::string& folder) {
  std::vector<std::string> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().filename().string().starts_with("step-") && entry.is_directory())
      out.push_back(entry.path().string());
  std::sort(out.begin(), out.end());
  return out;
}

void write_model(const std::string& folder, const Parameters& parameters, const ModelFiles& files,
                 bool bf16) {
  NewFolder out(folder);
  fill_model(out, parameters, files, bf16);
  out.commit();
}

void write_checkpoint(const std::string& folder, Parameters& parameters, const ModelFiles& files,
                      const std::vector<Optimizer::State>& moments, int64_t optimizer_steps,
                      const TrainState& state) {
  NewFolder out(folder);
  fill_model(out, parameters, files, false);
  std::vector<format::SafetensorsTensor> tensors;
  for (const Optimizer::State& s : resumed_state(parameters, moments))
    tensors.push_back({s.name, format::Dtype::F32, s.shape, bytes_of(s.data, s.size)});
  format::write_safetensors(out.file("optimizer.safetensors"), tensors, true);
  const json text = {{"version", 1},
                     {"step", state.step},
                     {"late_step", state.late_step},
                     {"tokens", state.tokens},
                     {"skipped", state.skipped},
                     {"seconds", state.seconds},
                     {"optimizer_steps", optimizer_steps},
                     {"data", state.data},
                     {"base", state.base},
                     {"settings", state.settings}};
  write_text(out.file("training.json"), text.dump(1) + "\n");
  out.commit();
}

void remove_old_checkpoints(const std::string& folder, int64_t keep) {
  std::error_code ignored;
  std::vector<fs::path> gone;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (entry.path().filename().string().starts_with(unfinished)) gone.push_back(entry.path());
  const std::vector<std::string> all = list_checkpoints(folder);
  const int64_t surplus = static_cast<int64_t>(all.size()) - keep;
  for (int64_t i = 0; i < surplus; ++i) gone.emplace_back(all[static_cast<size_t>(i)]);
  for (const fs::path& path : gone) fs::remove_all(path, ignored);
}

namespace {

void read_tensors(const std::string& path, const std::vector<Optimizer::State>& wanted) {
  const MappedFile file(path);
  std::map<std::string, format::SafetensorsTensor> tensors;
  for (auto& tensor : format::parse_safetensors(file.bytes(), path))
    tensors.emplace(tensor.name, tensor);
  for (const Optimizer::State& s : wanted) {
    if (s.data == nullptr) continue;  // another rank's
    const auto found = tensors.find(s.name);
    if (found == tensors.end())
      fail(ErrorKind::format,
           "{}: {} is missing; optimizer and LoRA of the settings must be the checkpoint's", path,
           s.name);
    const format::SafetensorsTensor& tensor = found->second;
    if (tensor.dtype != format::Dtype::F32 || tensor.shape != s.shape)
      fail(ErrorKind::format, "{}: {} has another shape or is no F32", path, s.name);
    std::memcpy(s.data, tensor.data.data(), tensor.data.size());
  }
}

}  // namespace

TrainState parse_train_state(std::string_view bytes, const std::string& path) {
  const json text = format::parse_json(bytes, path);
  const format::JsonObject object(text, path);
  if (object.integer("version") != 1)
    fail(ErrorKind::unsupported, "{}: written by another version of Hadal", path);
  TrainState state;
  state.step = object.integer("step");
  state.late_step = object.integer("late_step");
  state.tokens = object.integer("tokens");
  state.skipped = object.integer("skipped");
  state.seconds = object.real("seconds");
  state.settings = object.string_or("settings", "");
  const json* data = object.find("data");
  if (data == nullptr || !data->is_array())
    fail(ErrorKind::format, "{}: data is no list of hashes", path);
  for (const json& hash : *data) {
    if (!hash.is_number_unsigned()) fail(ErrorKind::format, "{}: data is no list of hashes", path);
    state.data.push_back(hash.get<uint64_t>());
  }
  if (const json* base = object.find("base")) {
    if (!base->is_number_unsigned()) fail(ErrorKind::format, "{}: base is no hash", path);
    state.base = base->get<uint64_t>();
  }
  state.optimizer_steps = object.integer("optimizer_steps");
  if (state.step < 0 || state.late_step < -1 || state.tokens < 0 || state.skipped < 0 ||
      state.seconds < 0 || state.optimizer_steps < 0)
    fail(ErrorKind::format, "{}: a negative count", path);
  return state;
}

TrainState read_checkpoint(const std::string& folder, Parameters& parameters,
                           Optimizer& optimizer) {
  const MappedFile file(folder + "/training.json");
  const auto* text = reinterpret_cast<const char*>(file.bytes().data());
  TrainState state = parse_train_state({text, file.bytes().size()}, file.path());
  optimizer.set_steps(state.optimizer_steps);
  read_tensors(folder + "/optimizer.safetensors", resumed_state(parameters, optimizer.state()));
  return state;
}

}  // namespace hadal::train
