#include "cli/model_tokenizer.h"

#include <filesystem>

#include "base/error.h"
#include "base/mapped_file.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer/tokenizer_json_write.h"

namespace hadal::cli {
namespace {

namespace fs = std::filesystem;

std::string read_text(const std::string& path) {
  const MappedFile file(path);
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

}  // namespace

ModelTokenizer gguf_tokenizer_of(const format::LoadedFiles& files) {
  ModelTokenizer result;
  if (files.gguf_tokenizer) {
    result.parts = files.gguf_tokenizer;
    return result;
  }
  if (files.tokenizer_json.empty()) return result;
  auto file = std::make_shared<tokenizer::TokenizerFile>(
      tokenizer::read_tokenizer_json(files.tokenizer_json, files.tokenizer_config_json));
  format::GgufTokenizer& parts = result.parts.emplace();
  parts.model = "gpt2";
  parts.pre = file->parts.pre;
  parts.tokens = file->parts.tokens;
  parts.types = file->parts.types;
  parts.merges = file->parts.merges;
  parts.bos_id = file->parts.bos_id;
  parts.eos_id = file->parts.eos_id;
  parts.pad_id = file->parts.pad_id;
  parts.add_bos = file->parts.add_bos;
  parts.nfc = file->parts.nfc;
  result.storage = std::move(file);
  return result;
}

std::vector<format::SideFile> hf_tokenizer_of(const format::LoadedFiles& files) {
  std::vector<format::SideFile> side_files;
  if (!files.is_gguf) {
    for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                             "generation_config.json", "chat_template.jinja"}) {
      const fs::path path = fs::path(files.path) / name;
      std::error_code error;
      if (fs::is_regular_file(path, error)) side_files.push_back({name, read_text(path.string())});
    }
    return side_files;
  }
  if (!files.gguf_tokenizer) return side_files;
  const format::GgufTokenizer& from = *files.gguf_tokenizer;
  if (from.model != "gpt2") {
    fail(ErrorKind::unsupported,
         "{}: the tokenizer is of kind '{}', not byte-level BPE, and cannot be written as "
         "tokenizer.json; --no-tokenizer leaves it out",
         files.path, from.model);
  }
  tokenizer::TokenizerParts parts;
  parts.pre = from.pre;
  parts.tokens = from.tokens;
  parts.types = from.types;
  parts.merges = from.merges;
  parts.bos_id = from.bos_id;
  parts.eos_id = from.eos_id;
  parts.pad_id = from.pad_id;
  parts.add_bos = from.add_bos;
  parts.nfc = from.nfc;
  parts.ignore_merges = from.pre == "llama-bpe" || from.pre == "llama3" || from.pre == "llama-v3";
  side_files.push_back({"tokenizer.json", tokenizer::tokenizer_json_text(parts, files.path)});
  side_files.push_back({"tokenizer_config.json",
                        tokenizer::tokenizer_config_text(parts, files.chat_template,
                                                         files.model->config.context_length)});
  return side_files;
}

}  // namespace hadal::cli
