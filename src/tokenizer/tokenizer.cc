#include "tokenizer/tokenizer.h"

#include <array>
#include <atomic>
#include <limits>

#include "base/error.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/merges.h"
#include "tokenizer/normalise.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/token_table.h"
#include "tokenizer/tokenizer_json.h"

namespace hadal::tokenizer {
namespace {

enum TokenType : int32_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused };

// Far above any published vocabulary (V3 has 128,815), far below what indices can hold.
constexpr size_t kMostTokens = size_t{1} << 22;

// Bytes that valid UTF-8 never has.
constexpr bool outside_utf8(int byte) {
  return byte == 0xC0 || byte == 0xC1 || byte >= 0xF5;
}

// Bytes that any usable vocabulary has: line feed and printable ASCII.
constexpr bool indispensable(int byte) {
  return byte == '\n' || (byte >= 0x20 && byte < 0x7F);
}

bool looks_like_markup(std::string_view text) {
  const bool bracketed =
      (text.front() == '<' && text.back() == '>') || (text.front() == '[' && text.back() == ']');
  return (bracketed && text.size() > 2) || text.find("｜") != std::string_view::npos;
}

// Message texts may hold anything: shown short, and only if printable.
std::string shown(std::string_view text) {
  std::string out(text.substr(0, 40));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20) {
      c = '?';
    }
  }
  return text.size() > 40 ? out + "..." : out;
}

}  // namespace

struct Tokenizer::Impl {
  // What one byte begins as: its token, or none, or U+FFFD's three.
  struct Symbols {
    int count = 0;
    std::array<int32_t, 3> ids{};
  };
  // Whether a token comes out when its own bytes are merged; found out when first asked.
  enum Whole : uint8_t { unknown, yes, no };

  PreTokenizer kind = PreTokenizer::gpt2;
  bool nfc = false;
  bool ignore_merges = false;
  bool add_bos = false;
  int32_t bos_id = -1;
  int32_t eos_id = -1;
  TokenTable tokens;
  std::vector<uint8_t> special;  // by id
  MergeTable merges;
  std::array<Symbols, 256> symbols;
  AddedTokens added;       // control and user-defined
  AddedTokens text_added;  // those of them that plain text yields
  // The answers never change, so threads may race to write them.
  mutable std::unique_ptr<std::atomic<uint8_t>[]> whole;

  void add_tokens(const TokenizerParts& parts, std::string_view source);
  void add_bytes(std::string_view source);
  void add_merges(const TokenizerParts& parts, std::string_view source);
  int32_t merge_token(std::string_view text, size_t merge, std::string_view source) const;

  void encode(std::string_view text, const AddedTokens& recognised,
              std::vector<int32_t>& out) const;
  void encode_run(std::string_view text, std::vector<int32_t>& out) const;
  void encode_piece(std::string_view piece, std::vector<int32_t>& scratch,
                    std::vector<int32_t>& out) const;
};

void Tokenizer::Impl::add_tokens(const TokenizerParts& parts, std::string_view source) {
  const size_t count = parts.tokens.size();
  if (count == 0 || count > kMostTokens) {
    fail(ErrorKind::format, "{}: the vocabulary has {} tokens; expected 1 to {}", source, count,
         kMostTokens);
  }
  if (!parts.types.empty() && parts.types.size() != count) {
    fail(ErrorKind::format, "{}: {} tokens, but {} token types", source, count, parts.types.size());
  }
  special.assign(count, 0);
  std::vector<int32_t> normal;
  normal.reserve(count);
  size_t total = 0;
  std::string bytes;
  for (size_t i = 0; i < count; ++i) {
    const auto id = static_cast<int32_t>(i);
    const std::string_view text = parts.tokens[i];
    const int32_t type = parts.types.empty() ? kNormal : parts.types[i];
    total += text.size();
    if (type < kNormal || type > kUnused) {
      fail(ErrorKind::format, "{}: token {} has type {}; byte-level BPE knows 1 to 5", source, id,
           type);
    }
    if (text.empty() && type != kUnused) {
      fail(ErrorKind::format, "{}: token {} is empty", source, id);
    }
    if (total > std::numeric_limits<uint32_t>::max()) {
      fail(ErrorKind::format, "{}: the tokens' texts exceed 4 GiB", source);
    }
    if (type == kUnused) {
      tokens.append({});
    } else if (type == kNormal) {
      bytes.clear();
      const bool writes_bytes = append_alphabet_bytes(text, bytes);
      tokens.append(writes_bytes ? std::string_view(bytes) : text);
      if (writes_bytes) {
        normal.push_back(id);
      }
    } else {
      tokens.append(text);
      special[i] = type != kUserDefined || looks_like_markup(text);
      if (!added.add(text, id) || (special[i] == 0 && !text_added.add(text, id))) {
        fail(ErrorKind::format, "{}: the added token '{}' is there twice (again as {})", source,
             shown(text), id);
      }
    }
  }
  tokens.start_index(normal.size());
  for (int32_t id : normal) {
    switch (tokens.insert(id)) {
      case TokenTable::Inserted::yes:
        break;
      case TokenTable::Inserted::duplicate:
        fail(ErrorKind::format, "{}: tokens {} and {} are the same, '{}'", source,
             tokens.find(tokens.bytes(id)), id, shown(parts.tokens[static_cast<size_t>(id)]));
      case TokenTable::Inserted::collisions:
        fail(ErrorKind::format, "{}: the vocabulary's hashes collide too often", source);
    }
  }
  whole = std::make_unique<std::atomic<uint8_t>[]>(count);
}

void Tokenizer::Impl::add_bytes(std::string_view source) {
  const auto token_of = [&](int byte) {
    const char c = static_cast<char>(byte);
    return tokens.find({&c, 1});
  };
  const std::array<int32_t, 3> replacement = {token_of(0xEF), token_of(0xBF), token_of(0xBD)};
  const bool has_replacement = replacement[0] >= 0 && replacement[1] >= 0 && replacement[2] >= 0;
  for (int byte = 0; byte < 256; ++byte) {
    Symbols& entry = symbols[static_cast<size_t>(byte)];
    const int32_t id = token_of(byte);
    if (id >= 0) {
      entry = {1, {id, 0, 0}};
    } else if (indispensable(byte)) {
      fail(ErrorKind::format, "{}: the vocabulary has no token for the byte 0x{:02X}", source,
           byte);
    } else if (outside_utf8(byte) && has_replacement) {
      entry = {3, replacement};
    }
  }
}

int32_t Tokenizer::Impl::merge_token(std::string_view text, size_t merge,
                                     std::string_view source) const {
  std::string bytes;
  const int32_t id = append_alphabet_bytes(text, bytes) ? tokens.find(bytes) : -1;
  if (id < 0) {
    fail(ErrorKind::format, "{}: merge {} needs '{}', which is no ordinary token of the vocabulary",
         source, merge, shown(text));
  }
  return id;
}

void Tokenizer::Impl::add_merges(const TokenizerParts& parts, std::string_view source) {
  merges.start(parts.merges.size());
  std::string both;
  for (size_t i = 0; i < parts.merges.size(); ++i) {
    const std::string_view text = parts.merges[i];
    const size_t space = text.find(' ');
    if (space == std::string_view::npos || space == 0 || space + 1 == text.size() ||
        text.find(' ', space + 1) != std::string_view::npos) {
      fail(ErrorKind::format, "{}: merge {}, '{}', is not two tokens with a space between", source,
           i, shown(text));
    }
    both.assign(text.substr(0, space));
    both += text.substr(space + 1);
    const auto added_as = merges.add(merge_token(text.substr(0, space), i, source),
                                     merge_token(text.substr(space + 1), i, source),
                                     static_cast<uint32_t>(i), merge_token(both, i, source));
    if (added_as != MergeTable::Added::yes) {
      fail(ErrorKind::format, "{}: merge {}, '{}', {}", source, i, shown(text),
           added_as == MergeTable::Added::duplicate ? "is there twice"
                                                    : "collides with too many others");
    }
  }
}

void Tokenizer::Impl::encode_piece(std::string_view piece, std::vector<int32_t>& scratch,
                                   std::vector<int32_t>& out) const {
  const int32_t id = tokens.find(piece);
  std::atomic<uint8_t>* known = id < 0 ? nullptr : &whole[static_cast<size_t>(id)];
  if (known != nullptr && (ignore_merges || known->load(std::memory_order_relaxed) == Whole::yes)) {
    out.push_back(id);
    return;
  }
  scratch.clear();
  for (char c : piece) {
    const Symbols& entry = symbols[static_cast<unsigned char>(c)];
    scratch.insert(scratch.end(), entry.ids.begin(), entry.ids.begin() + entry.count);
  }
  merges.apply(scratch);
  if (known != nullptr) {
    const bool is_whole = scratch.size() == 1 && scratch[0] == id;
    known->store(is_whole ? Whole::yes : Whole::no, std::memory_order_relaxed);
  }
  out.insert(out.end(), scratch.begin(), scratch.end());
}

void Tokenizer::Impl::encode_run(std::string_view text, std::vector<int32_t>& out) const {
  std::string normalised;
  if (nfc && !is_trivially_nfc(text)) {
    normalised = to_nfc(text);
    text = normalised;
  }
  std::vector<size_t> ends;
  split_pieces(kind, text, ends);
  std::vector<int32_t> scratch;
  size_t begin = 0;
  for (size_t end : ends) {
    encode_piece(text.substr(begin, end - begin), scratch, out);
    begin = end;
  }
}

void Tokenizer::Impl::encode(std::string_view text, const AddedTokens& recognised,
                             std::vector<int32_t>& out) const {
  if (text.size() >= std::numeric_limits<uint32_t>::max()) {
    fail(ErrorKind::limit, "a text of {} bytes is too long to encode at once; the limit is 4 GiB",
         text.size());
  }
  size_t begin = 0;
  while (begin < text.size()) {
    const AddedTokens::Match match =
        recognised.empty() ? AddedTokens::Match{} : recognised.find(text, begin);
    encode_run(text.substr(begin, match.position - begin), out);
    if (match.id < 0) {
      return;
    }
    out.push_back(match.id);
    begin = match.position + match.length;
  }
}

Tokenizer::Tokenizer(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::from_json(const std::string& path, const std::string& config_path) {
  const TokenizerFile file = read_tokenizer_json(path, config_path);
  return from_parts(file.parts, path);
}

Tokenizer Tokenizer::from_parts(const TokenizerParts& parts, std::string_view source) {
  const std::optional<PreTokenizer> kind = parse_pre_tokenizer(parts.pre);
  if (!kind) {
    fail(ErrorKind::unsupported, "{}: the pre-tokenizer '{}' is not known; known are {}", source,
         shown(parts.pre), pre_tokenizer_names());
  }
  auto impl = std::make_unique<Impl>();
  impl->kind = *kind;
  impl->nfc = parts.nfc.value_or(*kind == PreTokenizer::qwen2);
  impl->ignore_merges = parts.ignore_merges || *kind == PreTokenizer::llama3;
  impl->add_tokens(parts, source);
  impl->add_bytes(source);
  impl->add_merges(parts, source);
  const auto check_id = [&](int32_t id, std::string_view name) {
    if (id < -1 || id >= static_cast<int64_t>(parts.tokens.size())) {
      fail(ErrorKind::format, "{}: {} {} is outside the vocabulary of {} tokens", source, name, id,
           parts.tokens.size());
    }
    return id;
  };
  impl->bos_id = check_id(parts.bos_id, "bos_token_id");
  impl->eos_id = check_id(parts.eos_id, "eos_token_id");
  impl->add_bos = parts.add_bos && parts.bos_id >= 0;
  return Tokenizer(std::move(impl));
}

int32_t Tokenizer::size() const {
  return static_cast<int32_t>(impl_->tokens.size());
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int32_t> out;
  impl_->encode(text, impl_->text_added, out);
  return out;
}

std::vector<int32_t> Tokenizer::encode_with_special(std::string_view text) const {
  std::vector<int32_t> out;
  impl_->encode(text, impl_->added, out);
  return out;
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  return id >= 0 && id < size() ? impl_->tokens.bytes(id) : std::string_view();
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string out;
  for (int32_t id : ids) {
    out += token_bytes(id);
  }
  return out;
}

bool Tokenizer::is_special(int32_t id) const {
  return id >= 0 && id < size() && impl_->special[static_cast<size_t>(id)] != 0;
}

std::optional<int32_t> Tokenizer::special_id(std::string_view text) const {
  const int32_t id = impl_->added.find_exact(text);
  return id < 0 ? std::nullopt : std::optional(id);
}

std::string_view Tokenizer::pre() const {
  return pre_tokenizer_name(impl_->kind);
}

bool Tokenizer::nfc() const {
  return impl_->nfc;
}

int32_t Tokenizer::bos_id() const {
  return impl_->bos_id;
}

int32_t Tokenizer::eos_id() const {
  return impl_->eos_id;
}

bool Tokenizer::add_bos() const {
  return impl_->add_bos;
}

}  // namespace hadal::tokenizer
