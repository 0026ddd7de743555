// Documents from files: JSON lines, plain text, either packed by zstd.
//
//   NAME.jsonl[.zst]  one object a line: {"text": ...}, {"messages": [...]} in OpenAI's form with
//                     "reasoning_content" for thoughts, or {"question", "answer" and/or "final"}
//   NAME.txt[.zst]    the whole file is one document
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tokenizer/dialogue.h"

namespace hadal::data {

struct Document {
  std::string text;                               // prose, where there is no dialogue
  std::optional<tokenizer::Dialogue> dialogue{};  // ends with an assistant's message
};

// What shares of the documents may be asked for: one in a hundred is held out, for evaluation, by a
// hash of its content.
enum class Part { train, held_out, all };
Part parse_part(std::string_view name);  // Error(usage) on a name that is none
bool in_part(const Document& document, Part part);

using TakeDocument = std::function<void(Document& document)>;
using BytesRead = std::function<void(uint64_t bytes)>;

// Calls `take` for every document of a file, in order, and `progress`, if given, with the bytes of
// the file read so far. Throws Error(file | format | limit) naming file and line.
void read_documents(const std::string& path, const TakeDocument& take,
                    const BytesRead& progress = {});

// The same from memory: what a fuzzer calls.
void parse_documents(std::span<const std::byte> bytes, const std::string& name,
                     const TakeDocument& take, const BytesRead& progress = {});

// One line of JSON. `where` is for messages. A question without an answer (only "final") becomes a
// dialogue that answers at once.
Document parse_record(std::string_view line, const std::string& where);

}  // namespace hadal::data
