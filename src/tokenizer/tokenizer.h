// Byte-level BPE, exactly as the published tokenizers compute it: text is split by the model
// family's pre-tokenizer, each piece is merged by rank. Special tokens are found in text only where
// the caller asks for it. Facts: docs/tokenizer.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hadal::tokenizer {

// A tokenizer's raw parts, wherever they come from. Token texts are in the byte alphabet of GPT-2
// (a space is "Ġ"), special and user-defined tokens in plain UTF-8.
struct TokenizerParts {
  std::string pre;                       // pre-tokenizer's name, as tokenizer.ggml.pre says it
  std::vector<std::string_view> tokens;  // by id
  std::vector<int32_t> types;            // 1 normal, 3 control, 4 user-defined, 5 unused, ...
  std::vector<std::string_view> merges;  // "left right", by rank
  int32_t bos_id = -1, eos_id = -1, pad_id = -1;
  bool add_bos = false;
  bool ignore_merges = false;  // whole pieces that are tokens are taken without merging
  // Whether text is brought to NFC first. Unset: as `pre` implies, that is for "qwen2" only.
  std::optional<bool> nfc;
};

class Tokenizer {
 public:
  // Hugging Face's tokenizer.json, with tokenizer_config.json beside it ("" if there is none).
  // Throws Error(file | format | unsupported) naming file and key.
  static Tokenizer from_json(const std::string& path, const std::string& config_path);
  // Throws Error(format | unsupported) naming what is wrong: `source` is the file, for messages.
  static Tokenizer from_parts(const TokenizerParts& parts, std::string_view source);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // One more than the largest id. A model's vocabulary may be larger (padding), never smaller.
  int32_t size() const;

  // The ids of plain text: whatever it spells, no special token comes out. No bos is added. Bytes
  // that are not UTF-8 are encoded too; decode gives them back (where a vocabulary has no token for
  // a byte that UTF-8 never uses, U+FFFD stands for it). Throws Error(limit) from 4 GiB on.
  std::vector<int32_t> encode(std::string_view text) const;
  // The same, but special (control and user-defined) tokens spelt in the text are recognised,
  // longest match first.
  std::vector<int32_t> encode_with_special(std::string_view text) const;

  // The bytes that a token stands for, special tokens by their spelling; "" if id is out of range
  // or unused.
  std::string_view token_bytes(int32_t id) const;
  // The bytes of all tokens, special ones spelt.
  std::string decode(std::span<const int32_t> ids) const;

  // Control tokens, and user-defined ones that look like markup (<...>, [...], ...｜...): never
  // part of an answer's text, and never made from plain text. Other user-defined tokens ("ü" in
  // deepseek-llm's vocabulary) are text, which plain text yields too.
  bool is_special(int32_t id) const;
  // The id of an added (control or user-defined) token by its spelling.
  std::optional<int32_t> special_id(std::string_view text) const;

  std::string_view pre() const;  // "deepseek-v3", "qwen2", ...
  bool nfc() const;              // whether text is brought to NFC before anything else
  int32_t bos_id() const;        // -1: none
  int32_t eos_id() const;
  bool add_bos() const;  // whether plain prompts (not templates) begin with bos

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

}  // namespace hadal::tokenizer
