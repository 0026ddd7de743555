#include "train/gradients.h"

#include "base/error.h"

namespace hadal::train {

void check_trainable(const model::ModelConfig& config, const std::string& path) {
  if (config.mtp_layers > 1)
    fail(ErrorKind::unsupported, "{}: {} MTP layers; models with at most one can be trained", path,
         config.mtp_layers);
}

LossWeights comparison_weights(const model::ModelConfig& config) {
  if (config.mtp_layers == 0) return {.mtp = 0.0f, .balance = 0.0f};
  return {.mtp = 0.3f, .balance = 1e-2f};
}

Batch next_token_batch(std::span<const int64_t> ids, int64_t sequences, int64_t vocab,
                       const std::string& source) {
  const auto count = static_cast<int64_t>(ids.size());
  if (sequences < 1 || count % sequences != 0 || count / sequences < 2)
    fail(ErrorKind::format,
         "{}: {} ids in {} sequences; a sequence needs two tokens at least, one to predict the "
         "other from",
         source, count, sequences);
  const int64_t length = count / sequences;
  Batch batch;
  for (int64_t s = 0; s <= sequences; ++s) batch.documents.push_back(s * length);
  batch.sequences = batch.documents;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocab)
      fail(ErrorKind::format, "{}: id {} at place {}; the model's vocabulary has 0 to {}", source,
           ids[i], i, vocab - 1);
    batch.tokens.push_back(static_cast<int32_t>(ids[i]));
    const bool last = (static_cast<int64_t>(i) + 1) % length == 0;
    batch.targets.push_back(last ? -1 : static_cast<int32_t>(ids[i + 1]));
  }
  return batch;
}

}  // namespace hadal::train
