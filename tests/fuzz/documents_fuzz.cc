// Any bytes as a file of documents: plain lines, packed lines, one text.
#include <cstdint>
#include <span>
#include <string>

#include "base/error.h"
#include "data/documents.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  for (const char* name : {"x.jsonl", "x.jsonl.zst", "x.txt.zst"}) {
    try {
      hadal::data::parse_documents(bytes, name, [](hadal::data::Document&) {});
    } catch (const hadal::Error&) {  // NOLINT(bugprone-empty-catch): refusing is right
    }
  }
  return 0;
}
