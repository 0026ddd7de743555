#include "format/convert.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/output_file.h"
#include "base/scalar.h"
#include "format/config_write.h"
#include "format/gguf_write.h"
#include "format/rows.h"
#include "format/safetensors_write.h"
#include "format/tensor_pump.h"
#include "quant/format.h"

namespace hadal::format {
namespace {

using quant::Mixture;
using quant::Type;

bool is_float(Type type) {
  return type == Type::F32 || type == Type::F16 || type == Type::BF16;
}

uint64_t bytes_of(const PlannedTensor& tensor, Type type) {
  return quant::row_bytes(type, tensor.rows->cols()) * static_cast<uint64_t>(tensor.rows->rows());
}

// general.file_type of a file whose matrices keep their formats: that of the embedding.
uint32_t kept_file_type(const model::Model& model) {
  switch (model.embedding.type) {
    case Type::F32:
      return quant::mixture_file_type(Mixture::F32);
    case Type::F16:
      return quant::mixture_file_type(Mixture::F16);
    case Type::Q8_0:
      return quant::mixture_file_type(Mixture::Q8_0);
    default:
      return quant::mixture_file_type(Mixture::BF16);
  }
}

std::vector<Type> choose_gguf_types(const std::vector<PlannedTensor>& tensors,
                                    const model::Model& model, std::optional<Mixture> mixture) {
  const quant::MixtureContext context{model.config.layers, !model.config.tied_head};
  std::vector<Type> types;
  for (const PlannedTensor& tensor : tensors) {
    const auto choose = [&](Mixture m) {
      return quant::choose_type(m, tensor.name, static_cast<int>(tensor.shape.size()),
                                tensor.rows->cols(), context);
    };
    if (mixture) {
      types.push_back(choose(*mixture));
    } else {
      types.push_back(choose(Mixture::BF16) == Type::F32 ? Type::F32 : tensor.rows->type());
    }
  }
  return types;
}

bool has_fp8(const model::Model& model) {
  return std::any_of(model.layers.begin(), model.layers.end(), [](const model::Layer& layer) {
    return layer.attention.o.type == Type::FP8_E4M3;
  });
}

// Whether all values are those of a narrower float.
bool holds_exactly(Type type, const Rows& rows) {
  std::vector<float> floats(static_cast<size_t>(rows.cols()));
  for (int64_t row = 0; row < rows.rows(); ++row) {
    rows.decode(row, 1, floats.data());
    for (const float x : floats) {
      const float back = type == Type::F16    ? f16_to_float(float_to_f16(x))
                         : type == Type::BF16 ? bf16_to_float(float_to_bf16(x))
                                              : x;
      if (back != x) return false;
    }
  }
  return true;
}

// GGUF files hold vectors and routers in F32 whatever they were. A group of them goes back to the
// matrices' format if that loses nothing; correction biases are published in F32.
std::vector<Type> choose_hf_types(const std::vector<PlannedTensor>& tensors, Type main) {
  const auto is_router = [](const PlannedTensor& t) {
    return t.name.ends_with(".mlp.gate.weight");
  };
  const auto is_bias = [](const PlannedTensor& t) {
    return t.name.ends_with("e_score_correction_bias");
  };
  bool vectors_exact = true, routers_exact = true;
  for (const PlannedTensor& t : tensors) {
    if (is_router(t)) routers_exact = routers_exact && holds_exactly(main, *t.rows);
    if (t.shape.size() == 1 && !is_bias(t)) {
      vectors_exact = vectors_exact && holds_exactly(main, *t.rows);
    }
  }
  std::vector<Type> types;
  for (const PlannedTensor& t : tensors) {
    if (is_bias(t)) {
      types.push_back(Type::F32);
    } else if (is_router(t)) {
      types.push_back(routers_exact ? main : Type::F32);
    } else if (t.shape.size() == 1) {
      types.push_back(vectors_exact ? main : Type::F32);
    } else {
      types.push_back(is_float(t.rows->type()) ? t.rows->type() : Type::BF16);
    }
  }
  return types;
}

const char* dtype_name_of(Type type) {
  return type == Type::F32 ? "float32" : type == Type::F16 ? "float16" : "bfloat16";
}

WriteReport start_report(const LoadedFiles& files, const std::vector<PlannedTensor>& tensors,
                         const std::vector<Type>& types) {
  WriteReport report;
  report.bytes_before = static_cast<uint64_t>(files.model->file_bytes);
  for (size_t i = 0; i < tensors.size(); ++i) {
    report.bytes_after += bytes_of(tensors[i], types[i]);
    report.weights += static_cast<uint64_t>(tensors[i].rows->rows() * tensors[i].rows->cols());
  }
  return report;
}

// Makes the folder, or checks that nothing in it is in the way.
void prepare_folder(const std::string& folder, const std::vector<SideFile>& side_files,
                    bool replace) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::create_directories(folder, error);
  if (!fs::is_directory(folder, error)) {
    fail(ErrorKind::file, "cannot make the folder {}: {}", folder, error.message());
  }
  if (replace) return;
  std::vector<std::string> names = {"config.json", "model.safetensors",
                                    "model.safetensors.index.json"};
  for (const SideFile& file : side_files) names.push_back(file.name);
  for (const std::string& name : names) {
    const std::string path = (fs::path(folder) / name).string();
    if (fs::exists(path, error)) {
      fail(ErrorKind::usage, "{} exists already: choose another folder, or --force to replace it",
           path);
    }
  }
}

void write_text(const std::string& path, const std::string& text, bool replace) {
  OutputFile file(path, replace);
  file.write(text.data(), text.size());
  file.commit();
}

}  // namespace

WriteReport write_gguf(const LoadedFiles& files, const GgufTokenizer* tokenizer,
                       const std::string& path, const WriteOptions& options, ThreadPool& pool) {
  const model::Model& model = *files.model;
  const std::vector<PlannedTensor> tensors = plan_gguf(model);
  const std::vector<Type> types = choose_gguf_types(tensors, model, options.mixture);
  WriteReport report = start_report(files, tensors, types);
  if (has_fp8(model) && !options.mixture) {
    report.notes.push_back("GGUF has no FP8: weights were multiplied out and rounded to BF16");
  }
  GgufWriter writer(path, options.replace);
  add_model_keys(
      model.config,
      options.mixture ? quant::mixture_file_type(*options.mixture) : kept_file_type(model),
      writer.keys());
  if (tokenizer) {
    add_tokenizer_keys(*tokenizer, files.chat_template, model.config.vocab_size, writer.keys());
  }
  add_token_ids(model.config, tokenizer, writer.keys());
  for (size_t i = 0; i < tensors.size(); ++i) {
    writer.add_tensor(tensors[i].name, types[i], tensors[i].shape);
  }
  TensorPump pump(
      pool, [&](const void* data, size_t bytes) { writer.write(data, bytes); }, options.progress,
      report.bytes_after);
  for (size_t i = 0; i < tensors.size(); ++i) pump.move(tensors[i], types[i]);
  writer.finish();
  return report;
}

WriteReport write_hf(const LoadedFiles& files, const std::vector<SideFile>& side_files,
                     const std::string& folder, const WriteOptions& options, ThreadPool& pool) {
  const model::Model& model = *files.model;
  const std::vector<PlannedTensor> tensors = plan_hf(model);
  const Type main = is_float(model.embedding.type) ? model.embedding.type : Type::BF16;
  const std::vector<Type> types = choose_hf_types(tensors, main);
  WriteReport report = start_report(files, tensors, types);
  std::vector<SafetensorsInfo> infos;
  bool quantised = false;
  for (size_t i = 0; i < tensors.size(); ++i) {
    infos.push_back({tensors[i].name, types[i], tensors[i].shape});
    quantised = quantised || !is_float(tensors[i].rows->type());
  }
  if (quantised) report.notes.push_back("quantised weights were decoded and rounded to BF16");
  const std::string config = hf_config_text(model.config, dtype_name_of(main));
  prepare_folder(folder, side_files, options.replace);
  SafetensorsWriter writer(folder, std::move(infos), options.replace);
  TensorPump pump(
      pool, [&](const void* data, size_t bytes) { writer.write(data, bytes); }, options.progress,
      report.bytes_after);
  for (size_t i = 0; i < tensors.size(); ++i) pump.move(tensors[i], types[i]);
  writer.finish();
  for (const SideFile& file : side_files) {
    write_text(folder + "/" + file.name, file.text, options.replace);
  }
  write_text(folder + "/config.json", config, options.replace);
  return report;
}

}  // namespace hadal::format
