// A safetensors file, and its tensors bound to a tiny V3 model with FP8 weights.
#include <algorithm>
#include <span>

#include "base/error.h"
#include "format/bind.h"
#include "format/config_read.h"
#include "format/load_parts.h"
#include "format/safetensors_read.h"
#include "unit/format/builders.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hadal;
  static const model::ModelConfig config =
      format::read_hf_config(hadal::testing::tiny_config(), "config.json").model;
  try {
    const auto tensors =
        format::parse_safetensors(std::as_bytes(std::span(data, size)), "input.safetensors");
    format::TensorTable table("input");
    for (const auto& tensor : tensors) format::add_tensor(tensor, "input.safetensors", table);
    std::vector<std::string> notes;
    format::bind_hf(config, table, notes);
  } catch (const Error&) {
  }
  return 0;
}
