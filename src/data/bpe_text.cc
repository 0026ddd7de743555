// The learnt vocabulary as tokenizer.json and tokenizer_config.json.
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/bpe_trainer.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/tokenizer_json_write.h"

namespace hadal::data {
namespace {

constexpr int32_t kNormal = 1, kControl = 3, kUserDefined = 4;

// V3.1's form; asked for nothing, the model thinks.
constexpr const char* kTemplate =
    "{%- if thinking is not defined %}{%- set thinking = true %}{%- endif %}"
    "{{- bos_token }}"
    "{%- set ns = namespace(system='') %}"
    "{%- for m in messages if m['role'] == 'system' %}"
    "{%- set ns.system = ns.system + ('\\n\\n' if ns.system else '') + m['content'] %}"
    "{%- endfor %}"
    "{{- ns.system }}"
    "{%- for m in messages %}"
    "{%- if m['role'] == 'user' %}{{- '<｜User｜>' + m['content'] }}"
    "{%- elif m['role'] == 'assistant' %}"
    "{{- '<｜Assistant｜></think>' + m['content'].split('</think>', 1)[-1] + eos_token }}"
    "{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<｜Assistant｜>' + ('<think>' if thinking else '</think>') }}"
    "{%- endif %}";

}  // namespace

const std::vector<std::string>& special_tokens() {
  static const std::vector<std::string> tokens = [] {
    std::vector<std::string> list = {"<｜begin▁of▁sentence｜>",
                                     "<｜end▁of▁sentence｜>",
                                     "<｜▁pad▁｜>",
                                     "<｜User｜>",
                                     "<｜Assistant｜>",
                                     "<think>",
                                     "</think>",
                                     "<｜tool▁calls▁begin｜>",
                                     "<｜tool▁calls▁end｜>",
                                     "<｜tool▁call▁begin｜>",
                                     "<｜tool▁call▁end｜>",
                                     "<｜tool▁outputs▁begin｜>",
                                     "<｜tool▁outputs▁end｜>",
                                     "<｜tool▁output▁begin｜>",
                                     "<｜tool▁output▁end｜>",
                                     "<｜tool▁sep｜>",
                                     "<｜fim▁hole｜>",
                                     "<｜fim▁begin｜>",
                                     "<｜fim▁end｜>",
                                     "<|EOT|>"};
    for (int i = 0; list.size() < 32; ++i) {
      list.push_back("<｜place▁holder▁no▁" + std::to_string(i) + "｜>");
    }
    return list;
  }();
  return tokens;
}

TokenizerText tokenizer_text(const std::vector<Merge>& merges, int64_t context) {
  std::deque<std::string> storage;  // what the parts look at
  tokenizer::TokenizerParts parts;
  const auto append = [&](std::string text, int32_t type) {
    parts.tokens.push_back(storage.emplace_back(std::move(text)));
    parts.types.push_back(type);
  };
  for (const std::string& token : special_tokens()) {
    // Thoughts stay visible where special tokens are left out of the text.
    const bool thought = token == "<think>" || token == "</think>";
    append(token, thought ? kUserDefined : kControl);
  }
  std::vector<std::string_view> spelling;  // by the merges' indices
  std::map<std::string_view, size_t> known;
  for (int i = 0; i < 256; ++i) {
    const char byte = static_cast<char>(i);
    append(tokenizer::alphabet_spelling({&byte, 1}), kNormal);
    spelling.push_back(parts.tokens.back());
    known.emplace(spelling.back(), spelling.size() - 1);
  }
  for (const Merge& merge : merges) {
    const auto size = static_cast<int32_t>(spelling.size());
    HADAL_CHECK(merge.left >= 0 && merge.left < size && merge.right >= 0 && merge.right < size,
                "a merge of {} and {} among {} tokens", merge.left, merge.right, size);
    const auto left = spelling[static_cast<size_t>(merge.left)];
    const auto right = spelling[static_cast<size_t>(merge.right)];
    parts.merges.push_back(storage.emplace_back(std::string(left) + " " + std::string(right)));
    std::string joined = std::string(left) + std::string(right);
    if (known.contains(joined)) continue;  // another way to the same token
    append(std::move(joined), kNormal);
    spelling.push_back(parts.tokens.back());
    known.emplace(spelling.back(), spelling.size() - 1);
  }
  parts.pre = "smollm";
  parts.bos_id = 0;
  parts.eos_id = 1;
  parts.pad_id = 2;
  parts.add_bos = true;
  parts.nfc = false;
  return {tokenizer::tokenizer_json_text(parts, "the new tokenizer"),
          tokenizer::tokenizer_config_text(parts, kTemplate, context),
          static_cast<int32_t>(parts.tokens.size())};
}

}  // namespace hadal::data
