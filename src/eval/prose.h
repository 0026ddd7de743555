// How many bits a model needs for a byte of prose: comparable between models whatever their
// vocabularies.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/thread_pool.h"
#include "data/documents.h"
#include "infer/loaded_model.h"

namespace hadal::eval {

struct ProseOptions {
  data::Part part = data::Part::held_out;
  int64_t bytes_max = 1 << 20;  // of text; then no further document is read
};

struct Prose {
  int64_t documents = 0, bytes = 0, tokens = 0;
  double nll = 0;  // nats
  double bits_per_byte() const;
};

// The texts of a file of documents, each in windows that fill the model's context (1,024 at most)
// behind a begin token. Dialogues are passed over. `progress` gets the bytes read and may throw to
// stop. Throws as read_documents does, Error(usage) if the part has no text.
Prose measure_prose(const infer::LoadedModel& model, const std::string& path,
                    const ProseOptions& options, ThreadPool& pool,
                    const std::function<void(int64_t)>& progress = {});

}  // namespace hadal::eval
