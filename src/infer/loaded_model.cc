#include "infer/loaded_model.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "format/load.h"
#include "infer/tokenizer_file.h"

namespace hadal::infer {
namespace {

using tokenizer::Generation;
using tokenizer::Tokenizer;

std::optional<Tokenizer> open_tokenizer(const format::LoadedFiles& files,
                                        std::vector<std::string>& notes) {
  if (!files.tokenizer_json.empty())
    return Tokenizer::from_json(files.tokenizer_json, files.tokenizer_config_json);
  if (!files.gguf_tokenizer) {
    notes.emplace_back("no tokenizer found: token ids only");
    return std::nullopt;
  }
  const format::GgufTokenizer& from = *files.gguf_tokenizer;
  if (from.model != "gpt2") {
    notes.push_back(
        fmt::format("tokenizer model '{}' is not byte-level BPE: token ids only", from.model));
    return std::nullopt;
  }
  return tokenizer_from_gguf(from, files.path);
}

// Ends of a turn that files often leave out of their eos ids.
std::vector<std::string_view> turn_ends(const std::optional<tokenizer::DialogueStyle>& style) {
  std::vector<std::string_view> ends = {"<|EOT|>"};  // DeepSeek Coder's dialogues
  if (!style) return ends;
  switch (style->generation) {
    case Generation::chatml:
    case Generation::qwen3:
      ends.insert(ends.end(), {"<|im_end|>", "<|endoftext|>"});
      break;
    case Generation::llama3:
      ends.insert(ends.end(), {"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"});
      break;
    default:
      ends.emplace_back("<｜end▁of▁sentence｜>");
      break;
  }
  return ends;
}

std::vector<int32_t> find_stop_ids(const LoadedModel& loaded, const format::LoadedFiles& files) {
  const model::ModelConfig& config = loaded.model->config;
  std::vector<int32_t> ids = config.eos_ids;
  if (files.gguf_tokenizer)
    ids.insert(ids.end(), {files.gguf_tokenizer->eos_id, files.gguf_tokenizer->eot_id});
  if (loaded.tokenizer) {
    ids.push_back(loaded.tokenizer->eos_id());
    for (const std::string_view text : turn_ends(loaded.style))
      ids.push_back(loaded.tokenizer->special_id(text).value_or(-1));
  }
  std::erase_if(ids, [&](int32_t id) { return id < 0 || id >= config.vocab_size; });
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

std::string display_name(const model::ModelConfig& config, const std::string& path) {
  if (!config.name.empty()) return config.name;
  std::filesystem::path place = std::filesystem::path(path).lexically_normal();
  if (!place.has_filename()) place = place.parent_path();  // a folder given with a last slash
  return place.extension() == ".gguf" ? place.stem().string() : place.filename().string();
}

}  // namespace

LoadedModel open_model(const std::string& path) {
  format::LoadedFiles files = format::load_model(path);
  LoadedModel loaded;
  loaded.path = path;
  loaded.is_gguf = files.is_gguf;
  loaded.notes = std::move(files.notes);
  loaded.model = std::move(files.model);
  const model::ModelConfig& config = loaded.model->config;
  loaded.name = display_name(config, path);
  loaded.tokenizer = open_tokenizer(files, loaded.notes);
  loaded.bos_id = config.bos_id;
  tokenizer::ModelHints hints;
  hints.chat_template = files.chat_template;
  hints.model_type = config.source;
  hints.name = loaded.name;
  if (loaded.tokenizer) {
    const Tokenizer& tokenizer = *loaded.tokenizer;
    if (tokenizer.size() > config.vocab_size)
      fail(ErrorKind::format,
           "{}: the tokenizer has {} tokens but the model's vocabulary only {}; they do not belong "
           "together",
           path, tokenizer.size(), config.vocab_size);
    if (tokenizer.bos_id() >= 0) loaded.bos_id = tokenizer.bos_id();
    hints.has_token = [&](std::string_view text) { return tokenizer.special_id(text).has_value(); };
    loaded.style = tokenizer::detect_style(hints);
  }
  loaded.stop_ids = find_stop_ids(loaded, files);
  return loaded;
}

const tokenizer::Tokenizer& require_tokenizer(const LoadedModel& loaded) {
  if (!loaded.tokenizer)
    fail(ErrorKind::unsupported, "{} has no tokenizer that Hadal can read: it takes token ids only",
         loaded.path);
  return *loaded.tokenizer;
}

const tokenizer::DialogueStyle& require_style(const LoadedModel& loaded) {
  require_tokenizer(loaded);
  if (!loaded.style)
    fail(ErrorKind::unsupported,
         "{} has no dialogue form that Hadal knows (a base model?): name one with --generation",
         loaded.path);
  return *loaded.style;
}

}  // namespace hadal::infer
