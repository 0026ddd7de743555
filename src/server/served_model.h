// The model that is served, with what every request needs to know of it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "infer/engine.h"
#include "infer/loaded_model.h"
#include "infer/sampler.h"

namespace hadal::server {

struct ModelOptions {
  std::string path;  // of a file or folder
  int threads = 0;   // 0: one per core
  infer::EngineOptions engine;
  std::optional<model::Precision> precision;        // unset: the model's own
  std::optional<tokenizer::Generation> generation;  // unset: the model's own
  std::vector<std::string> aliases;                 // other names of the model
  bool any_name = false;                            // answer to every name
  bool map_temperature = false;                     // DeepSeek's: t <= 1: 0.3 t, else t - 0.7
  int64_t default_max_tokens = -1;                  // when a request names none
};

class Constraints;

struct ServedModel {
  ServedModel();
  ~ServedModel();

  ModelOptions options;
  infer::LoadedModel loaded;
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<infer::Engine> engine;
  std::string id;                                   // its name in the API
  std::optional<tokenizer::Generation> generation;  // nothing: a base model
  std::string default_system;
  infer::SamplingParams sampling;  // where a request says nothing
  std::vector<int32_t> end_ids;
  std::string hash;         // of the model's files, 64 hexadecimal digits
  std::string precision;    // "native", "f32", "bf16"
  std::string fingerprint;  // system_fingerprint: of all that decides the bits of an answer
  int64_t created = 0;      // seconds since 1970
  std::unique_ptr<Constraints> constraints;
};

// Opens the model and makes the engine. Throws what they throw.
std::unique_ptr<ServedModel> open_served(const ModelOptions& options);

// The files that make up a model, in a fixed order.
std::vector<std::string> model_files(const std::string& path);

// SHA-256 over names, sizes and contents: of files over 64 MiB, samples of 64 KiB at the beginning,
// at the end and evenly between. So it is the hash of the files in all but name for small models,
// and costs a moment for large ones.
std::string hash_model(const std::string& path);

// Of all that decides the bits of the attention cache: what system_fingerprint stands for, and this
// build of the program, since another one may round differently. model_hash: of hash_model.
std::string cache_fingerprint(const std::string& model_hash, model::Precision precision,
                              quant::Type cache_type);

// What a request's model name means.
struct ModelName {
  bool known = false;
  std::optional<bool> thinking;  // "deepseek-chat" and "deepseek-reasoner" say so
};
ModelName resolve_name(const ServedModel& model, const std::string& name);

// All names that the model answers to, its id first.
std::vector<std::string> model_names(const ServedModel& model);

}  // namespace hadal::server
