// Models as files of another kind: any model that load_model opens -> one GGUF file, in the formats
// of its weights or quantised, or a Hugging Face folder. Weights are streamed tensor by tensor;
// memory stays at some tens of megabytes whatever the model's size.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "format/load.h"
#include "quant/mixture.h"

namespace hadal::format {

// Called with the bytes written and to be written; may throw to stop, which removes the output.
using WriteProgress = std::function<void(uint64_t done, uint64_t total)>;

struct WriteOptions {
  bool replace = false;                     // an existing output
  WriteProgress progress{};                 // may be empty
  std::optional<quant::Mixture> mixture{};  // write_gguf: unset keeps each matrix's format
};

struct WriteReport {
  uint64_t bytes_before = 0;  // of the source's tensors
  uint64_t bytes_after = 0;   // of the tensors written
  uint64_t weights = 0;
  std::vector<std::string> notes;  // what was changed on the way, for the user

  double bits_before() const { return bits(bytes_before); }
  double bits_after() const { return bits(bytes_after); }

 private:
  double bits(uint64_t bytes) const {
    return weights > 0 ? 8.0 * static_cast<double>(bytes) / static_cast<double>(weights) : 0.0;
  }
};

// tokenizer: keys to write, or null. FP8 weights become BF16 unless a mixture says otherwise.
// Throws Error(usage) if path exists and is not to be replaced, Error(file) if it cannot be
// written, Error(format) naming the tensor if weights are not finite.
WriteReport write_gguf(const LoadedFiles& files, const GgufTokenizer* tokenizer,
                       const std::string& path, const WriteOptions& options, ThreadPool& pool);

// A file to be put beside the weights.
struct SideFile {
  std::string name, text;
};

// config.json, model.safetensors (or shards) and the side files, into a folder that is made if
// need be. Quantised weights become BF16, which is noted. Errors as above.
WriteReport write_hf(const LoadedFiles& files, const std::vector<SideFile>& side_files,
                     const std::string& folder, const WriteOptions& options, ThreadPool& pool);

}  // namespace hadal::format
