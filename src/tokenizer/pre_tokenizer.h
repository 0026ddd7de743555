// Pre-tokenizers: text is cut into pieces, inside which alone bytes are merged into tokens.
//
// Each published tokenizer gives its cuts as a sequence of regular expressions; every expression
// cuts each piece so far into matches and what lies between them. Here each expression is a
// hand-written matcher, linear in the text, so that hostile text cannot make it slow.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hadal::tokenizer {

enum class PreTokenizer { gpt2, smollm, llama3, qwen2, deepseek_llm, deepseek_coder, deepseek_v3 };

// The kind that a GGUF file's tokenizer.ggml.pre names ("deepseek-r1-qwen" is qwen2's), if known.
std::optional<PreTokenizer> parse_pre_tokenizer(std::string_view name);
// "gpt-2", "smollm", "llama-bpe", "qwen2", "deepseek-llm", ...
std::string_view pre_tokenizer_name(PreTokenizer kind);
// All names, for messages.
std::string pre_tokenizer_names();

// Appends the end offset of every piece of `text`. Bytes that are not UTF-8 count as characters
// without properties.
void split_pieces(PreTokenizer kind, std::string_view text, std::vector<size_t>& ends);

// One step of a tokenizer.json's pre_tokenizer section: a Split by a regular expression that keeps
// matches and rests, a Digits step ("individual digits"), or the expression of GPT-2 that a
// ByteLevel step with use_regex applies ("gpt-2").
struct PreTokenizerStep {
  enum class Kind { regex, digits, gpt2 } kind = Kind::regex;
  std::string regex;
};

// The steps by which a tokenizer.json spells a kind.
std::vector<PreTokenizerStep> pre_tokenizer_steps(PreTokenizer kind);

// The kind whose steps these are, comparing expressions with the known ones.
std::optional<PreTokenizer> recognise_pre_tokenizer(const std::vector<PreTokenizerStep>& steps);

}  // namespace hadal::tokenizer
