#include "infer/tokenizer_file.h"

#include <cstdint>
#include <filesystem>

#include "base/error.h"
#include "format/gguf_config.h"
#include "format/gguf_shards.h"
#include "format/json_guard.h"
#include "tokenizer/tokenizer_json.h"

namespace hadal::infer {
namespace {

namespace fs = std::filesystem;
using tokenizer::Tokenizer;

TokenizerSource with_style(Tokenizer tokenizer, tokenizer::ModelHints hints) {
  hints.has_token = [&](std::string_view text) { return tokenizer.special_id(text).has_value(); };
  std::optional<tokenizer::DialogueStyle> style = tokenizer::detect_style(hints);
  return {std::move(tokenizer), std::move(style)};
}

TokenizerSource open_gguf(const std::string& path) {
  const format::GgufShards shards(path);
  const format::Gguf& gguf = *shards.parts().front();
  const auto keys = format::read_gguf_tokenizer(gguf, INT64_MAX);
  if (!keys)
    fail(ErrorKind::unsupported, "{}: holds no tokenizer (no tokenizer.ggml.tokens)", path);
  tokenizer::ModelHints hints;
  hints.chat_template = gguf.string_or("tokenizer.chat_template", "");
  hints.model_type = gguf.string_or("general.architecture", "");
  hints.name = gguf.string_or("general.name", "");
  return with_style(tokenizer_from_gguf(*keys, path), std::move(hints));
}

std::string existing(const fs::path& path) {
  return fs::exists(path) ? path.string() : std::string();
}

TokenizerSource open_json(const fs::path& path) {
  const fs::path folder = path.parent_path();
  const tokenizer::TokenizerFile file =
      tokenizer::read_tokenizer_json(path.string(), existing(folder / "tokenizer_config.json"));
  tokenizer::ModelHints hints;
  hints.chat_template = file.chat_template;
  hints.name = fs::absolute(path).parent_path().filename().string();
  const std::string config_path = existing(folder / "config.json");
  if (!config_path.empty()) {
    const nlohmann::json config = format::read_json(config_path);
    hints.model_type = format::JsonObject(config, config_path).string_or("model_type", "");
  }
  return with_style(Tokenizer::from_parts(file.parts, path.string()), std::move(hints));
}

}  // namespace

Tokenizer tokenizer_from_gguf(const format::GgufTokenizer& keys, std::string_view source) {
  if (keys.model != "gpt2")
    fail(ErrorKind::unsupported, "{}: tokenizer model '{}' is not byte-level BPE ('gpt2')", source,
         keys.model);
  tokenizer::TokenizerParts parts;
  parts.pre = keys.pre;
  parts.tokens = keys.tokens;
  parts.types = keys.types;
  parts.merges = keys.merges;
  parts.bos_id = keys.bos_id;
  parts.eos_id = keys.eos_id;
  parts.pad_id = keys.pad_id;
  parts.add_bos = keys.add_bos;
  parts.nfc = keys.nfc;
  return Tokenizer::from_parts(parts, source);
}

TokenizerSource open_tokenizer(const std::string& path) {
  if (fs::is_directory(path)) {
    const fs::path json = fs::path(path) / "tokenizer.json";
    if (!fs::exists(json)) fail(ErrorKind::file, "{}: no tokenizer.json here", path);
    return open_json(json);
  }
  return fs::path(path).extension() == ".json" ? open_json(path) : open_gguf(path);
}

}  // namespace hadal::infer
