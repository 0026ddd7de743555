#include "tokenizer/tokenizer_json.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "tokenizer/json_scan.h"
#include "tokenizer/pre_tokenizer.h"

namespace hadal::tokenizer {

struct TokenizerFile::Storage {
  std::vector<MappedFile> files;
  std::string unescaped;
  std::string config_unescaped;
  std::string merges;  // those given as pairs, joined
};

namespace {

using nlohmann::json;

// Limits that no published tokenizer comes near.
constexpr size_t kMostBytes = size_t{256} << 20;
constexpr size_t kMostSectionBytes = size_t{1} << 20;
constexpr int64_t kMostTokens = int64_t{1} << 22;

struct AddedToken {
  int64_t id = -1;
  std::string_view content;
  bool special = false;
};

// Reads the sections one after the other, in whatever order they stand, then puts them together.
class Reader {
 public:
  Reader(std::string_view text, const std::string& source, TokenizerFile::Storage& storage)
      : source_(source),
        storage_(storage),
        scan_(text, source, storage.unescaped),
        most_tokens_(std::min(kMostTokens, static_cast<int64_t>(text.size()))) {}

  TokenizerParts read();

 private:
  void read_added();
  void read_model();
  void read_vocabulary();
  void read_merges();
  json section(std::string_view name);
  void take_token(int64_t id, std::string_view text, int32_t type);
  void take_normaliser(const json& value);
  void take_pre_tokenizer(const json& value);
  void add_step(const json& value, std::vector<PreTokenizerStep>& steps);
  void take_post_processor(const json& value);
  void put_together();
  void require_null(std::string_view key);

  const std::string& source_;
  TokenizerFile::Storage& storage_;
  JsonScanner scan_;
  int64_t most_tokens_;  // ids are checked against the file's size before anything is allocated
  TokenizerParts parts_;
  std::vector<AddedToken> added_;
  std::vector<std::string_view> seen_;
  bool has_vocabulary_ = false;
  bool has_merges_ = false;
};

TokenizerParts Reader::read() {
  scan_.object([&](std::string_view key) {
    if (std::find(seen_.begin(), seen_.end(), key) != seen_.end()) {
      scan_.fail_here("the key '{}' is there twice", key.substr(0, 40));
    }
    if (key == "added_tokens") {
      read_added();
    } else if (key == "model") {
      read_model();
    } else if (key == "normalizer") {
      take_normaliser(section(key));
    } else if (key == "pre_tokenizer") {
      take_pre_tokenizer(section(key));
    } else if (key == "post_processor") {
      take_post_processor(section(key));
    } else {
      scan_.skip();
      return;
    }
    seen_.push_back(key);
  });
  scan_.expect_end();
  if (parts_.pre.empty()) {
    fail(ErrorKind::format, "{}: no pre_tokenizer", source_);
  }
  if (!has_vocabulary_ || !has_merges_) {
    fail(ErrorKind::format, "{}: no {} in a model section", source_,
         has_vocabulary_ ? "merges" : "vocab");
  }
  put_together();
  return std::move(parts_);
}

// A small section, parsed. The scanner has bounded its depth.
json Reader::section(std::string_view name) {
  const std::string_view text = scan_.skip();
  if (text.size() > kMostSectionBytes) {
    fail(ErrorKind::format, "{}: {} has {} bytes; at most {} are expected", source_, name,
         text.size(), kMostSectionBytes);
  }
  json value = json::parse(text, nullptr, false);
  if (value.is_discarded()) {
    fail(ErrorKind::format, "{}: {} is no valid JSON", source_, name);
  }
  return value;
}

void Reader::read_added() {
  scan_.array([&] {
    AddedToken token;
    bool shifting = false;
    scan_.object([&](std::string_view key) {
      if (key == "id") {
        token.id = scan_.integer();
      } else if (key == "content") {
        token.content = scan_.string();
      } else if (key == "special") {
        token.special = scan_.boolean();
      } else if (key == "lstrip" || key == "rstrip" || key == "single_word") {
        shifting = scan_.boolean() || shifting;
      } else {
        scan_.skip();
      }
    });
    if (token.id < 0 || token.content.empty()) {
      scan_.fail_here("an added token needs an id and content");
    }
    if (shifting) {
      fail(ErrorKind::unsupported,
           "{}: the added token '{}' sets lstrip, rstrip or single_word, which is not supported",
           source_, token.content.substr(0, 40));
    }
    added_.push_back(token);
  });
}

void Reader::require_null(std::string_view key) {
  if (scan_.accept_null()) {
    return;
  }
  const std::string_view value = scan_.skip();
  if (value != "\"\"" && value != "0" && value != "0.0") {
    fail(ErrorKind::unsupported, "{}: model.{} is {}, which byte-level BPE does not use", source_,
         key, value.substr(0, 40));
  }
}

void Reader::read_model() {
  scan_.object([&](std::string_view key) {
    if (key == "type") {
      const std::string_view type = scan_.string();
      if (type != "BPE") {
        fail(ErrorKind::unsupported, "{}: model.type is '{}'; only BPE is supported", source_,
             type.substr(0, 40));
      }
    } else if (key == "vocab") {
      read_vocabulary();
    } else if (key == "merges") {
      read_merges();
    } else if (key == "ignore_merges") {
      parts_.ignore_merges = scan_.boolean();
    } else if (key == "byte_fallback") {
      if (scan_.boolean()) {
        fail(ErrorKind::unsupported,
             "{}: model.byte_fallback is set: a SentencePiece tokenizer, not byte-level BPE",
             source_);
      }
    } else if (key == "dropout" || key == "continuing_subword_prefix" ||
               key == "end_of_word_suffix") {
      require_null(key);
    } else {
      scan_.skip();
    }
  });
}

void Reader::take_token(int64_t id, std::string_view text, int32_t type) {
  if (id < 0 || id >= most_tokens_) {
    fail(ErrorKind::format, "{}: the token '{}' has the id {}; expected 0 to {}", source_,
         text.substr(0, 40), id, most_tokens_ - 1);
  }
  const auto index = static_cast<size_t>(id);
  if (index >= parts_.tokens.size()) {
    parts_.tokens.resize(index + 1);
    parts_.types.resize(index + 1, 0);
  }
  const bool added = type != 1;
  if (parts_.types[index] != 0 && !(added && parts_.tokens[index] == text)) {
    fail(ErrorKind::format, "{}: the id {} is given twice, to '{}' and '{}'", source_, id,
         parts_.tokens[index].substr(0, 40), text.substr(0, 40));
  }
  parts_.tokens[index] = text;
  parts_.types[index] = type;
}

void Reader::read_vocabulary() {
  if (has_vocabulary_) {
    scan_.fail_here("model.vocab is there twice");
  }
  has_vocabulary_ = true;
  scan_.object([&](std::string_view token) { take_token(scan_.integer(), token, 1); });
}

void Reader::read_merges() {
  if (has_merges_) {
    scan_.fail_here("model.merges is there twice");
  }
  has_merges_ = true;
  std::vector<std::pair<size_t, size_t>> joined;  // index in merges, end in storage
  scan_.array([&] {
    if (scan_.peek() == '"') {
      parts_.merges.push_back(scan_.string());
      return;
    }
    size_t count = 0;
    scan_.array([&] {
      storage_.merges += count++ == 0 ? "" : " ";
      storage_.merges += scan_.string();
    });
    if (count != 2) {
      scan_.fail_here("merge {} has {} tokens; expected 2", parts_.merges.size(), count);
    }
    joined.emplace_back(parts_.merges.size(), storage_.merges.size());
    parts_.merges.emplace_back();
  });
  size_t begin = 0;
  for (const auto& [index, end] : joined) {
    parts_.merges[index] = std::string_view(storage_.merges).substr(begin, end - begin);
    begin = end;
  }
}

std::string text_of(const json& value, const char* key) {
  const auto found = value.is_object() ? value.find(key) : value.end();
  return value.is_object() && found != value.end() && found->is_string() ? found->get<std::string>()
                                                                         : std::string();
}

bool flag_of(const json& value, const char* key, bool otherwise) {
  const auto found = value.find(key);
  return found != value.end() && found->is_boolean() ? found->get<bool>() : otherwise;
}

// A value for a message: one line, not too long.
std::string shown(const json& value) {
  const std::string out = value.dump(-1, ' ', false, json::error_handler_t::replace);
  return out.size() > 400 ? out.substr(0, 400) + "..." : out;
}

void Reader::take_normaliser(const json& value) {
  const bool is_sequence = text_of(value, "type") == "Sequence";
  const json steps = is_sequence ? value.value("normalizers", json::array()) : json::array({value});
  parts_.nfc = false;
  for (const json& step : steps) {
    if (step.is_null()) {
      continue;
    }
    if (text_of(step, "type") != "NFC") {
      fail(ErrorKind::unsupported, "{}: the normalizer {} is not supported; NFC or none are",
           source_, shown(step));
    }
    parts_.nfc = true;
  }
}

// Adds what a step of the pre_tokenizer does; refuses what could not be told from a known one.
void Reader::add_step(const json& value, std::vector<PreTokenizerStep>& steps) {
  using Kind = PreTokenizerStep::Kind;
  const std::string type = text_of(value, "type");
  if (type == "Split") {
    const std::string regex =
        value.contains("pattern") ? text_of(value["pattern"], "Regex") : std::string();
    const std::string behaviour = text_of(value, "behavior");
    const bool inverted = flag_of(value, "invert", false);
    // "Removed" with the condition inverted keeps the matches and drops what lies between; these
    // expressions leave nothing between.
    const bool keeps_all =
        (behaviour == "Isolated" && !inverted) || (behaviour == "Removed" && inverted);
    if (!regex.empty() && keeps_all) {
      steps.push_back({Kind::regex, regex});
      return;
    }
  } else if (type == "Digits" && flag_of(value, "individual_digits", false)) {
    steps.push_back({Kind::digits, {}});
    return;
  } else if (type == "ByteLevel" && !flag_of(value, "add_prefix_space", true)) {
    if (flag_of(value, "use_regex", true)) {
      steps.push_back({Kind::gpt2, {}});
    }
    return;
  }
  fail(ErrorKind::unsupported, "{}: the pre_tokenizer step {} is not supported", source_,
       shown(value));
}

void Reader::take_pre_tokenizer(const json& value) {
  const bool is_sequence = text_of(value, "type") == "Sequence";
  const json list =
      is_sequence ? value.value("pretokenizers", json::array()) : json::array({value});
  if (list.empty() || !list.is_array() || text_of(list.back(), "type") != "ByteLevel") {
    fail(ErrorKind::unsupported, "{}: the pre_tokenizer does not end in ByteLevel: {}", source_,
         shown(value));
  }
  std::vector<PreTokenizerStep> steps;
  for (const json& step : list) {
    add_step(step, steps);
  }
  const std::optional<PreTokenizer> kind = recognise_pre_tokenizer(steps);
  if (!kind) {
    std::string patterns;
    for (const PreTokenizerStep& step : steps) {
      patterns += patterns.empty() ? "" : " ; ";
      patterns += step.kind == PreTokenizerStep::Kind::regex    ? step.regex
                  : step.kind == PreTokenizerStep::Kind::digits ? "(single digits)"
                                                                : "(GPT-2)";
    }
    fail(ErrorKind::unsupported,
         "{}: the pre_tokenizer is none of the known ones ({}); its expressions are: {}", source_,
         pre_tokenizer_names(), patterns.substr(0, 2000));
  }
  parts_.pre = pre_tokenizer_name(*kind);
}

// A template that begins with a special token is how Llama's tokenizer.json adds bos.
void Reader::take_post_processor(const json& value) {
  const json list = text_of(value, "type") == "Sequence" ? value.value("processors", json::array())
                                                         : json::array({value});
  for (const json& processor : list) {
    if (text_of(processor, "type") != "TemplateProcessing" || !processor.contains("single")) {
      continue;
    }
    const json& single = processor["single"];
    parts_.add_bos = single.is_array() && !single.empty() && single[0].is_object() &&
                     single[0].contains("SpecialToken");
  }
}

void Reader::put_together() {
  for (const AddedToken& token : added_) {
    take_token(token.id, token.content, token.special ? 3 : 4);
  }
  const auto hole = std::find(parts_.types.begin(), parts_.types.end(), 0);
  if (hole != parts_.types.end()) {
    fail(ErrorKind::format, "{}: the ids go up to {}, but no token has the id {}", source_,
         parts_.types.size() - 1, hole - parts_.types.begin());
  }
}

// The token that a key of tokenizer_config.json names: a string, or an object with "content".
int32_t named_token(const json& config, const char* key, const TokenizerParts& parts,
                    const std::string& source, bool required) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) {
    return -1;
  }
  const std::string text =
      found->is_string() ? found->get<std::string>() : text_of(*found, "content");
  const auto at = std::find(parts.tokens.begin(), parts.tokens.end(), text);
  if (text.empty() || (at == parts.tokens.end() && required)) {
    fail(ErrorKind::format, "{}: tokenizer_config.json's {} is {}, which is no token", source, key,
         shown(*found));
  }
  return at == parts.tokens.end() ? -1 : static_cast<int32_t>(at - parts.tokens.begin());
}

std::string template_of(const json& config) {
  const auto found = config.find("chat_template");
  if (found == config.end()) {
    return {};
  }
  if (found->is_string()) {
    return found->get<std::string>();
  }
  for (const json& entry : found->is_array() ? *found : json::array()) {
    if (text_of(entry, "name") == "default") {
      return text_of(entry, "template");
    }
  }
  return {};
}

void take_config(std::string_view text, const std::string& source, TokenizerFile& file,
                 std::string& arena) {
  JsonScanner scan(text, source, arena);
  const std::string_view whole = scan.skip();
  scan.expect_end();
  const json config = json::parse(whole, nullptr, false);
  if (!config.is_object()) {
    fail(ErrorKind::format, "{}: tokenizer_config.json is no JSON object", source);
  }
  TokenizerParts& parts = file.parts;
  parts.bos_id = named_token(config, "bos_token", parts, source, true);
  parts.eos_id = named_token(config, "eos_token", parts, source, true);
  parts.pad_id = named_token(config, "pad_token", parts, source, false);
  parts.add_bos = flag_of(config, "add_bos_token", parts.add_bos);
  file.chat_template = template_of(config);
}

void check_size(std::string_view text, const std::string& source) {
  if (text.size() > kMostBytes) {
    fail(ErrorKind::limit, "{}: {} bytes; a tokenizer file of at most {} is expected", source,
         text.size(), kMostBytes);
  }
}

TokenizerFile parse(std::string_view text, std::string_view config, const std::string& source,
                    std::shared_ptr<TokenizerFile::Storage> storage) {
  check_size(text, source);
  check_size(config, source);
  TokenizerFile file;
  file.parts = Reader(text, source, *storage).read();
  if (!config.empty()) {
    take_config(config, source, file, storage->config_unescaped);
  }
  file.storage = std::move(storage);
  return file;
}

std::string_view mapped_text(TokenizerFile::Storage& storage, const std::string& path) {
  storage.files.emplace_back(path);
  const auto bytes = storage.files.back().bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

TokenizerFile read_tokenizer_json(const std::string& path, const std::string& config_path) {
  auto storage = std::make_shared<TokenizerFile::Storage>();
  const std::string_view text = mapped_text(*storage, path);
  const std::string_view config =
      config_path.empty() ? std::string_view() : mapped_text(*storage, config_path);
  return parse(text, config, path, std::move(storage));
}

TokenizerFile parse_tokenizer_json(std::string_view text, std::string_view config,
                                   const std::string& source) {
  auto storage = std::make_shared<TokenizerFile::Storage>();
  // The parts must not point into the caller's text.
  auto own = std::make_shared<std::pair<std::string, std::shared_ptr<TokenizerFile::Storage>>>(
      std::string(text), storage);
  TokenizerFile file = parse(own->first, config, source, storage);
  file.storage = std::shared_ptr<const TokenizerFile::Storage>(own, storage.get());
  return file;
}

}  // namespace hadal::tokenizer
