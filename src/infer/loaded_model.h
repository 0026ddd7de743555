// A model ready to be run: its weights, its tokenizer, the dialogue form it was trained on, and the
// tokens at which it stops.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/weights.h"
#include "tokenizer/generation.h"
#include "tokenizer/tokenizer.h"

namespace hadal::infer {

struct LoadedModel {
  std::unique_ptr<model::Model> model;
  std::optional<tokenizer::Tokenizer> tokenizer;  // nothing: the files hold none that we can read
  std::optional<tokenizer::DialogueStyle> style;  // nothing: a base model, or a foreign form
  std::string path;                               // as given
  std::string name;                               // for people
  bool is_gguf = false;
  int32_t bos_id = -1;             // -1: none
  std::vector<int32_t> stop_ids;   // a sampled token of these ends an answer; ascending
  std::vector<std::string> notes;  // what had to be assumed, for the user
};

// Opens a GGUF file or a Hugging Face folder. Throws Error(file | format | unsupported), also when
// the tokenizer has more tokens than the model has rows.
LoadedModel open_model(const std::string& path);

// For clients that need text. Throws Error(unsupported) naming the model if it has no tokenizer,
// or no dialogue form.
const tokenizer::Tokenizer& require_tokenizer(const LoadedModel& loaded);
const tokenizer::DialogueStyle& require_style(const LoadedModel& loaded);

}  // namespace hadal::infer
