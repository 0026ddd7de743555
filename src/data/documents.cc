#include "data/documents.h"

#include <utility>

#include <xxhash.h>

#include "base/error.h"
#include "base/mapped_file.h"
#include "data/packed_text.h"
#include "tokenizer/tools_json.h"

namespace hadal::data {
namespace {

using tokenizer::Dialogue;
using tokenizer::Json;
using tokenizer::Message;
using tokenizer::Role;

constexpr size_t kLineMax = size_t{64} << 20;
constexpr size_t kTextMax = size_t{1} << 30;

std::string text_of(const Json& record, const char* key, const std::string& where) {
  const auto found = record.find(key);
  if (found == record.end() || found->is_null()) return {};
  if (!found->is_string()) fail(ErrorKind::format, "{}: \"{}\" must be a string", where, key);
  return found->get<std::string>();
}

Dialogue dialogue_of(std::string_view line, const std::string& where) {
  Dialogue dialogue;
  try {
    dialogue = tokenizer::dialogue_from_json(line);
  } catch (const Error& error) {
    fail(ErrorKind::format, "{}: {}", where, error.what());
  }
  if (dialogue.messages.empty() || dialogue.messages.back().role != Role::assistant) {
    fail(ErrorKind::format, "{}: the dialogue does not end with an assistant's message", where);
  }
  return dialogue;
}

// A worked answer is a thought; what it comes to is what is said.
Dialogue question_of(const Json& record, const std::string& where) {
  const std::string answer = text_of(record, "answer", where);
  const std::string result = text_of(record, "final", where);
  if (answer.empty() && result.empty()) {
    fail(ErrorKind::format, "{}: a question with neither \"answer\" nor \"final\"", where);
  }
  Message question, reply;
  question.role = Role::user;
  question.content = text_of(record, "question", where);
  reply.role = Role::assistant;
  reply.content = result.empty() ? answer : result;
  if (!result.empty()) reply.reasoning_content = answer;
  Dialogue dialogue;
  dialogue.messages = {std::move(question), std::move(reply)};
  return dialogue;
}

// Lines of a packed text, with their numbers.
void parse_lines(PackedText& text, const std::string& name, const TakeDocument& take,
                 const BytesRead& progress) {
  std::string rest;  // the beginning of a line that goes on in the next piece
  uint64_t number = 0;
  const auto line = [&](std::string_view content) {
    ++number;
    if (content.find_first_not_of(" \t\r") == std::string_view::npos) return;
    Document document = parse_record(content, fmt::format("{}:{}", name, number));
    take(document);
    if (progress) progress(text.bytes_read());
  };
  for (std::string_view piece = text.next(); !piece.empty(); piece = text.next()) {
    for (size_t end = piece.find('\n'); end != std::string_view::npos; end = piece.find('\n')) {
      if (rest.empty()) {
        line(piece.substr(0, end));
      } else {
        rest += piece.substr(0, end);
        line(rest);
        rest.clear();
      }
      piece.remove_prefix(end + 1);
    }
    rest += piece;
    if (rest.size() > kLineMax) {
      fail(ErrorKind::limit, "{}:{}: a line of more than 64 MiB", name, number + 1);
    }
  }
  if (!rest.empty()) line(rest);
}

uint64_t content_hash(const Document& document) {
  if (!document.dialogue) return XXH3_64bits(document.text.data(), document.text.size());
  uint64_t hash = 0;
  for (const Message& message : document.dialogue->messages) {
    hash = XXH3_64bits_withSeed(message.content.data(), message.content.size(), hash);
  }
  return hash;
}

}  // namespace

Part parse_part(std::string_view name) {
  if (name == "train") return Part::train;
  if (name == "held-out") return Part::held_out;
  if (name == "all") return Part::all;
  fail(ErrorKind::usage, "unknown part '{}': train, held-out or all", name);
}

bool in_part(const Document& document, Part part) {
  return part == Part::all || (content_hash(document) % 100 == 0) == (part == Part::held_out);
}

Document parse_record(std::string_view line, const std::string& where) {
  Json record;
  try {
    record = tokenizer::parse_json(line, "the line");
  } catch (const Error& error) {
    fail(ErrorKind::format, "{}: {}", where, error.what());
  }
  if (!record.is_object()) fail(ErrorKind::format, "{}: the line is no JSON object", where);
  if (record.contains("messages")) return {{}, dialogue_of(line, where)};
  if (record.contains("question")) return {{}, question_of(record, where)};
  if (record.contains("text")) return {text_of(record, "text", where), {}};
  fail(ErrorKind::format, "{}: no \"text\", \"messages\" or \"question\" in the record", where);
}

void parse_documents(std::span<const std::byte> bytes, const std::string& name,
                     const TakeDocument& take, const BytesRead& progress) {
  std::string_view plain = name;
  if (plain.ends_with(".zst")) plain.remove_suffix(4);
  PackedText text(bytes, name);
  if (plain.ends_with(".jsonl")) {
    parse_lines(text, name, take, progress);
    return;
  }
  if (!plain.ends_with(".txt") && !plain.ends_with(".md")) {
    fail(ErrorKind::usage, "{}: a file of .jsonl, .txt or .md, or one of them packed as .zst",
         name);
  }
  Document document;
  for (std::string_view piece = text.next(); !piece.empty(); piece = text.next()) {
    document.text += piece;
    if (document.text.size() > kTextMax) fail(ErrorKind::limit, "{}: more than 1 GiB", name);
    if (progress) progress(text.bytes_read());
  }
  take(document);
}

void read_documents(const std::string& path, const TakeDocument& take, const BytesRead& progress) {
  const MappedFile file(path);
  parse_documents(file.bytes(), path, take, progress);
}

}  // namespace hadal::data
