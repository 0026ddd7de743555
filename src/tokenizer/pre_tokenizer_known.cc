// Names of the pre-tokenizers, and the expressions by which a tokenizer.json spells them. No
// expression is ever executed: one that is not known here is refused.
#include <algorithm>
#include <array>

#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/pre_tokenizer_letters.h"

namespace hadal::tokenizer {
namespace {

using Kind = PreTokenizerStep::Kind;

struct Name {
  std::string_view name;
  PreTokenizer kind;
};

// The first name of a kind is the one that Hadal writes.
constexpr Name kNames[] = {
    {"gpt-2", PreTokenizer::gpt2},
    {"gpt2", PreTokenizer::gpt2},
    {"smollm", PreTokenizer::smollm},
    {"llama-bpe", PreTokenizer::llama3},
    {"llama3", PreTokenizer::llama3},
    {"llama-v3", PreTokenizer::llama3},
    {"qwen2", PreTokenizer::qwen2},
    {"deepseek-r1-qwen", PreTokenizer::qwen2},
    {"deepseek-llm", PreTokenizer::deepseek_llm},
    {"deepseek-coder", PreTokenizer::deepseek_coder},
    {"deepseek-v3", PreTokenizer::deepseek_v3},
};

constexpr std::string_view kGpt2Words =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlamaWords =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwenWords =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kV3Words =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kV3Ideographs_ = "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+";
constexpr std::string_view kLlmIdeographs_ = "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+";
constexpr std::string_view kLlmPunctuation_ =
    R"(\s?[!-/:-~)"
    "\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+";

void append_utf8(std::string& out, char32_t code) {
  const auto put = [&](char32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

// \s?[...]+ of deepseek-llm's letters, as its tokenizer.json writes it.
std::string llm_letters() {
  std::string out = R"(\s?[)";
  for (const CodeRange& range : kLlmLetters) {
    append_utf8(out, range.first);
    if (range.last != range.first) {
      out += '-';
      append_utf8(out, range.last);
    }
  }
  return out + "]+";
}

std::optional<char32_t> parse_hex(std::string_view digits) {
  char32_t value = 0;
  for (char c : digits) {
    const auto digit = std::string_view("0123456789abcdef").find(static_cast<char>(c | 0x20));
    if (digit == std::string_view::npos) {
      return std::nullopt;
    }
    value = value << 4 | static_cast<char32_t>(digit);
  }
  return value;
}

// One spelling for what has several: \r, \n and \uXXXX may also stand as the characters.
std::string canonical(std::string_view regex) {
  std::string out;
  for (size_t i = 0; i < regex.size(); ++i) {
    if (regex[i] != '\\' || i + 1 == regex.size()) {
      out += regex[i];
      continue;
    }
    const char escaped = regex[i + 1];
    const std::optional<char32_t> code =
        escaped == 'u' && i + 6 <= regex.size() ? parse_hex(regex.substr(i + 2, 4)) : std::nullopt;
    if (escaped == 'r') {
      out += '\r';
    } else if (escaped == 'n') {
      out += '\n';
    } else if (code) {
      append_utf8(out, *code);
      i += 4;
    } else {
      out += regex[i];
      out += escaped;
    }
    ++i;
  }
  return out;
}

struct Known {
  PreTokenizer kind;
  std::vector<PreTokenizerStep> steps;
};

std::vector<Known> make_known() {
  const auto regex = [](std::string_view text) {
    return PreTokenizerStep{Kind::regex, canonical(text)};
  };
  const PreTokenizerStep digits{Kind::digits, {}};
  const PreTokenizerStep gpt2{Kind::gpt2, {}};
  return {
      {PreTokenizer::gpt2, {gpt2}},
      {PreTokenizer::gpt2, {regex(kGpt2Words)}},
      {PreTokenizer::smollm, {digits, gpt2}},
      {PreTokenizer::smollm, {regex(R"(\p{N})"), gpt2}},
      {PreTokenizer::llama3, {regex(kLlamaWords)}},
      {PreTokenizer::qwen2, {regex(kQwenWords)}},
      {PreTokenizer::deepseek_llm,
       {regex(R"([\r\n])"), regex(llm_letters()), regex(kLlmPunctuation_), regex(R"(\s+$)"),
        regex(kLlmIdeographs_), digits}},
      {PreTokenizer::deepseek_coder,
       {regex(R"([\r\n])"), regex(R"(\s?\p{L}+)"), regex(R"(\s?\p{P}+)"), regex(kLlmIdeographs_),
        digits}},
      {PreTokenizer::deepseek_v3, {regex(R"(\p{N}{1,3})"), regex(kV3Ideographs_), regex(kV3Words)}},
  };
}

bool same(const PreTokenizerStep& a, const PreTokenizerStep& b) {
  return a.kind == b.kind && (a.kind != Kind::regex || canonical(a.regex) == b.regex);
}

}  // namespace

std::optional<PreTokenizer> parse_pre_tokenizer(std::string_view name) {
  for (const Name& entry : kNames) {
    if (entry.name == name) {
      return entry.kind;
    }
  }
  return std::nullopt;
}

std::string_view pre_tokenizer_name(PreTokenizer kind) {
  return std::find_if(std::begin(kNames), std::end(kNames),
                      [&](const Name& entry) { return entry.kind == kind; })
      ->name;
}

std::string pre_tokenizer_names() {
  std::string out;
  for (const Name& entry : kNames) {
    out += out.empty() ? "" : ", ";
    out += entry.name;
  }
  return out;
}

std::vector<PreTokenizerStep> pre_tokenizer_steps(PreTokenizer kind) {
  for (Known& known : make_known()) {
    if (known.kind == kind) {
      return std::move(known.steps);
    }
  }
  return {};
}

std::optional<PreTokenizer> recognise_pre_tokenizer(const std::vector<PreTokenizerStep>& steps) {
  for (const Known& known : make_known()) {
    if (std::equal(steps.begin(), steps.end(), known.steps.begin(), known.steps.end(), same)) {
      return known.kind;
    }
  }
  return std::nullopt;
}

}  // namespace hadal::tokenizer
