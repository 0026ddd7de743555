#include "tokenizer/tokenizer_json_write.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "tokenizer/pre_tokenizer.h"

namespace hadal::tokenizer {
namespace {

using Json = nlohmann::ordered_json;

constexpr int32_t control = 3, user_defined = 4, unused = 5;

Json pre_tokenizer_json(PreTokenizer kind) {
  Json steps = Json::array();
  bool gpt2 = false;  // ByteLevel itself cuts by GPT-2's expression
  for (const PreTokenizerStep& step : pre_tokenizer_steps(kind)) {
    switch (step.kind) {
      case PreTokenizerStep::Kind::regex:
        steps.push_back({{"type", "Split"},
                         {"pattern", {{"Regex", step.regex}}},
                         {"behavior", "Isolated"},
                         {"invert", false}});
        break;
      case PreTokenizerStep::Kind::digits:
        steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
        break;
      case PreTokenizerStep::Kind::gpt2:
        gpt2 = true;
        break;
    }
  }
  steps.push_back({{"type", "ByteLevel"},
                   {"add_prefix_space", false},
                   {"trim_offsets", true},
                   {"use_regex", gpt2}});
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

// What puts the begin token in front of a text, where the tokenizer does that.
Json post_processor_json(const TokenizerParts& parts) {
  if (!parts.add_bos || parts.bos_id < 0) return nullptr;
  const std::string bos(parts.tokens[static_cast<size_t>(parts.bos_id)]);
  const Json token = {{"SpecialToken", {{"id", bos}, {"type_id", 0}}}};
  const Json second = {{"SpecialToken", {{"id", bos}, {"type_id", 1}}}};
  const Json a = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const Json b = {{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
  const Json special = {{bos, {{"id", bos}, {"ids", {parts.bos_id}}, {"tokens", {bos}}}}};
  return {{"type", "TemplateProcessing"},
          {"single", {token, a}},
          {"pair", {token, a, second, b}},
          {"special_tokens", special}};
}

Json merges_json(const TokenizerParts& parts) {
  Json merges = Json::array();
  for (const std::string_view merge : parts.merges) {
    const size_t space = merge.find(' ', 1);  // a token may begin with nothing else
    if (space == std::string_view::npos) continue;
    merges.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  return merges;
}

}  // namespace

std::string tokenizer_json_text(const TokenizerParts& parts, const std::string& source) {
  const std::optional<PreTokenizer> kind = parse_pre_tokenizer(parts.pre);
  if (!kind) {
    fail(ErrorKind::unsupported, "{}: the pre-tokenizer '{}' is none of the known ones ({})",
         source, parts.pre, pre_tokenizer_names());
  }
  size_t count = parts.tokens.size();
  while (count > 0 && parts.types[count - 1] == unused) --count;
  Json added = Json::array();
  Json vocabulary = Json::object();
  for (size_t id = 0; id < count; ++id) {
    const int32_t type = parts.types[id];
    if (type == control || type == user_defined) {
      added.push_back({{"id", id},
                       {"content", parts.tokens[id]},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", type == control}});
    }
    // Added tokens too: the library numbers those that the vocabulary lacks anew. Built as a list:
    // looking for a key that may exist would take quadratic time.
    vocabulary.get_ref<Json::object_t&>().emplace_back(std::string(parts.tokens[id]), id);
  }
  Json json;
  json["version"] = "1.0";
  json["truncation"] = nullptr;
  json["padding"] = nullptr;
  json["added_tokens"] = std::move(added);
  json["normalizer"] =
      parts.nfc.value_or(*kind == PreTokenizer::qwen2) ? Json{{"type", "NFC"}} : Json(nullptr);
  json["pre_tokenizer"] = pre_tokenizer_json(*kind);
  json["post_processor"] = post_processor_json(parts);
  json["decoder"] = {{"type", "ByteLevel"},
                     {"add_prefix_space", true},
                     {"trim_offsets", true},
                     {"use_regex", true}};
  json["model"] = {{"type", "BPE"},
                   {"dropout", nullptr},
                   {"unk_token", nullptr},
                   {"continuing_subword_prefix", nullptr},
                   {"end_of_word_suffix", nullptr},
                   {"fuse_unk", false},
                   {"byte_fallback", false},
                   {"ignore_merges", parts.ignore_merges}};
  json["model"]["vocab"] = std::move(vocabulary);
  json["model"]["merges"] = merges_json(parts);
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string tokenizer_config_text(const TokenizerParts& parts, const std::string& chat_template,
                                  int64_t context) {
  Json json;
  json["tokenizer_class"] = "PreTrainedTokenizerFast";
  const auto name = [&](const char* key, int32_t id) {
    if (id >= 0 && static_cast<size_t>(id) < parts.tokens.size()) {
      json[key] = parts.tokens[static_cast<size_t>(id)];
    }
  };
  name("bos_token", parts.bos_id);
  name("eos_token", parts.eos_id);
  name("pad_token", parts.pad_id);
  json["add_bos_token"] = parts.add_bos;
  json["add_eos_token"] = false;
  json["clean_up_tokenization_spaces"] = false;
  if (context > 0) json["model_max_length"] = context;
  if (!chat_template.empty()) json["chat_template"] = chat_template;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace hadal::tokenizer
