// A vocabulary of single bytes, a few merges, and the special tokens of every generation: what
// tests of dialogues and streams need of a tokenizer.
#pragma once

#include <string>
#include <vector>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/tokenizer.h"

namespace hadal::tokenizer {

// The ids of single bytes are the bytes. without: a special token that is left out.
inline Tokenizer small_tokenizer(const std::string& pre = "deepseek-v3",
                                 const std::string& without = "") {
  std::vector<std::string> texts;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    texts.push_back(alphabet_spelling({&c, 1}));
  }
  const std::vector<std::string> merges = {"h e", "l l",   "he ll",  "hell o", "t h",
                                           "i n", "th in", "thin k", "Ġ b",    "æ ·"};
  for (const std::string& merge : merges) {
    const size_t space = merge.find(' ');
    texts.push_back(merge.substr(0, space) + merge.substr(space + 1));
  }
  const size_t first_special = texts.size();
  for (const char* text : {"<｜begin▁of▁sentence｜>",
                           "<｜end▁of▁sentence｜>",
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
                           "｜DSML｜",
                           "<｜place▁holder｜>",
                           "<tool_call>",
                           "</tool_call>",
                           "<|im_start|>",
                           "<|im_end|>",
                           "<|begin_of_text|>",
                           "<|start_header_id|>",
                           "<|end_header_id|>",
                           "<|eot_id|>",
                           "<｜latest_reminder｜>",
                           "<｜action｜>",
                           "<｜query｜>",
                           "<｜authority｜>",
                           "<｜domain｜>",
                           "<｜title｜>",
                           "<｜read_url｜>"}) {
    if (text != without) texts.emplace_back(text);
  }
  TokenizerParts parts;
  parts.pre = pre;
  parts.tokens.assign(texts.begin(), texts.end());
  parts.types.assign(texts.size(), 1);
  for (size_t i = first_special; i < texts.size(); ++i) {
    parts.types[i] = i % 2 == 0 ? 3 : 4;
  }
  parts.merges.assign(merges.begin(), merges.end());
  parts.bos_id = static_cast<int32_t>(first_special);
  parts.eos_id = parts.bos_id + 1;
  return Tokenizer::from_parts(parts, "small");
}

}  // namespace hadal::tokenizer
