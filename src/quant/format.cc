#include "quant/format.h"

#include <cctype>

#include "base/error.h"
#include "quant/families.h"

namespace hadal::quant {
namespace {

using Decode = void (*)(const void*, float*, int64_t);
using Encode = void (*)(const float*, void*, int64_t);

struct Entry {
  TypeInfo info;
  Decode decode;
  Encode encode;  // null: Hadal only reads this type
};

constexpr Entry entries[] = {
    {{Type::F32, "F32", 1, 4}, decode_f32, encode_f32},
    {{Type::F16, "F16", 1, 2}, decode_f16, encode_f16},
    {{Type::BF16, "BF16", 1, 2}, decode_bf16, encode_bf16},
    {{Type::Q8_0, "Q8_0", 32, 34}, decode_q8_0, encode_q8_0},
    {{Type::Q4_0, "Q4_0", 32, 18}, decode_q4_0, encode_q4_0},
    {{Type::Q4_1, "Q4_1", 32, 20}, decode_q4_1, encode_q4_1},
    {{Type::Q5_0, "Q5_0", 32, 22}, decode_q5_0, encode_q5_0},
    {{Type::Q5_1, "Q5_1", 32, 24}, decode_q5_1, encode_q5_1},
    {{Type::Q2_K, "Q2_K", 256, 84}, decode_q2_k, encode_q2_k},
    {{Type::Q3_K, "Q3_K", 256, 110}, decode_q3_k, encode_q3_k},
    {{Type::Q4_K, "Q4_K", 256, 144}, decode_q4_k, encode_q4_k},
    {{Type::Q5_K, "Q5_K", 256, 176}, decode_q5_k, encode_q5_k},
    {{Type::Q6_K, "Q6_K", 256, 210}, decode_q6_k, encode_q6_k},
    {{Type::IQ4_NL, "IQ4_NL", 32, 18}, decode_iq4_nl, encode_iq4_nl},
    {{Type::IQ4_XS, "IQ4_XS", 256, 136}, decode_iq4_xs, encode_iq4_xs},
    {{Type::MXFP4, "MXFP4", 32, 17}, decode_mxfp4, encode_mxfp4},
    {{Type::I32, "I32", 1, 4}, decode_i32, nullptr},
    {{Type::FP8_E4M3, "FP8_E4M3", 1, 1}, decode_fp8, nullptr},
};

const Entry* find_entry(uint32_t id) {
  for (const Entry& entry : entries) {
    if (static_cast<uint32_t>(entry.info.type) == id) return &entry;
  }
  return nullptr;
}

const Entry& entry_of(Type type) {
  const Entry* entry = find_entry(static_cast<uint32_t>(type));
  HADAL_CHECK(entry != nullptr, "number format {} is none of ours", static_cast<uint32_t>(type));
  return *entry;
}

void check_whole_blocks(const TypeInfo& info, int64_t n) {
  HADAL_CHECK(n >= 0 && n % info.block_weights == 0, "{} weights are no whole blocks of {}", n,
              info.name);
}

}  // namespace

const TypeInfo* find_type(uint32_t id) {
  const Entry* entry = find_entry(id);
  return entry ? &entry->info : nullptr;
}

const TypeInfo& type_info(Type type) {
  return entry_of(type).info;
}

std::optional<Type> type_by_name(std::string_view name) {
  for (const Entry& entry : entries) {
    const std::string_view known = entry.info.name;
    bool same = known.size() == name.size();
    for (size_t i = 0; same && i < name.size(); ++i) {
      same = std::toupper(static_cast<unsigned char>(name[i])) == known[i];
    }
    if (same) return entry.info.type;
  }
  return std::nullopt;
}

size_t row_bytes(Type type, int64_t n) {
  const TypeInfo& info = type_info(type);
  check_whole_blocks(info, n);
  return static_cast<size_t>(n / info.block_weights * info.block_bytes);
}

void decode_row(Type type, const void* blocks, float* out, int64_t n) {
  const Entry& entry = entry_of(type);
  check_whole_blocks(entry.info, n);
  entry.decode(blocks, out, n);
}

void encode_row(Type type, const float* x, void* blocks, int64_t n) {
  const Entry& entry = entry_of(type);
  HADAL_CHECK(entry.encode != nullptr, "{} cannot be encoded", entry.info.name);
  check_whole_blocks(entry.info, n);
  entry.encode(x, blocks, n);
}

}  // namespace hadal::quant
