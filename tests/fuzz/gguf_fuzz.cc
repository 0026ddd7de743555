// A GGUF file: container, keys, tokenizer, tensors bound to a model. Anything may be refused by an
// Error; what is accepted must be readable from end to end.
#include <span>

#include "base/error.h"
#include "format/gguf_read.h"
#include "format/load_parts.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hadal;
  try {
    const format::Gguf gguf(std::as_bytes(std::span(data, size)), "input.gguf");
    for (const format::GgufKey& key : gguf.keys()) format::gguf_value_text(key);
    unsigned sum = 0;
    for (const format::GgufTensor& tensor : gguf.tensors())
      for (const std::byte byte : tensor.data) sum += static_cast<unsigned>(byte);
    const format::LoadedFiles files = format::bind_gguf_parts({&gguf}, "input.gguf");
    for (const auto& layer : files.model->layers)
      for (const auto& expert : layer.experts.routed) {
        const auto* bytes = static_cast<const uint8_t*>(expert.down.data);
        sum += bytes[expert.down.rows * expert.down.row_bytes - 1];
      }
    volatile unsigned used = sum;
    (void)used;
  } catch (const Error&) {
  }
  return 0;
}
