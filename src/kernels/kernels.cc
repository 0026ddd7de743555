#include "kernels/kernels.h"

#include <cstdlib>
#include <cstring>
#include <string>

#include "base/error.h"
#include "kernels/activation.h"
#include "kernels/cpu.h"
#include "kernels/tables.h"

namespace hadal::kernels {
namespace {

constexpr const char* names[] = {"ref", "avx2", "avx512", "amx"};  // from slow to fast

const Table& choose() {
  const char* wanted = std::getenv("HADAL_ISA");
  const Table* best = nullptr;
  std::string available;
  for (const char* name : names) {
    const Table* table = table_by_name(name);
    if (table == nullptr) continue;
    best = table;
    available += (available.empty() ? "" : ", ") + std::string(name);
  }
  if (wanted == nullptr || *wanted == '\0') return *best;
  const Table* table = table_by_name(wanted);
  if (table == nullptr) {
    fail(ErrorKind::usage, "HADAL_ISA={}: this machine or build has no such kernels ({})", wanted,
         available);
  }
  return *table;
}

}  // namespace

int64_t activation_bytes(Activation activation, int64_t k) {
  if (activation == Activation::f32) return (k * 4 + 63) & ~int64_t{63};
  if (activation == Activation::bf16) return (k * 2 + 63) & ~int64_t{63};
  return q8_bytes(activation, k);
}

Activation native_activation(quant::Type type) {
  switch (type) {
    case quant::Type::Q4_0:
    case quant::Type::Q4_1:
    case quant::Type::Q5_0:
    case quant::Type::Q5_1:
    case quant::Type::Q8_0:
    case quant::Type::IQ4_NL:
    case quant::Type::MXFP4:
      return Activation::q8_32;
    case quant::Type::Q2_K:
    case quant::Type::Q3_K:
    case quant::Type::Q4_K:
    case quant::Type::Q5_K:
    case quant::Type::Q6_K:
    case quant::Type::IQ4_XS:
      return Activation::q8_256;
    case quant::Type::BF16:
    case quant::Type::FP8_E4M3:
      return Activation::bf16;
    case quant::Type::F32:
    case quant::Type::F16:
    case quant::Type::I32:
      return Activation::f32;
  }
  return Activation::f32;
}

void convert(const Table& table, Activation activation, const float* x, int64_t k, void* out) {
  switch (activation) {
    case Activation::f32:
      std::memcpy(out, x, static_cast<size_t>(k) * sizeof(float));
      return;
    case Activation::q8_32:
    case Activation::q8_256:
      return table.quantize(activation, x, k, out);
    case Activation::bf16: {
      auto* halves = static_cast<uint16_t*>(out);
      table.float_to_bf16(x, k, halves);
      std::memset(halves + k, 0, static_cast<size_t>(activation_bytes(activation, k) - 2 * k));
      return;
    }
  }
}

const Table* table_by_name(const char* name) {
  const auto is = [&](const char* other) { return std::strcmp(name, other) == 0; };
  if (is("ref")) return &ref_table();
#ifdef HADAL_HAVE_X86_KERNELS
  if (is("avx2") && cpu_has_avx2()) return &avx2_table();
  if (is("avx512") && cpu_has_avx512()) return &avx512_table();
  if (is("amx") && cpu_has_amx()) return &amx_table();
#endif
  return nullptr;
}

const Table& active() {
  static const Table& table = choose();
  return table;
}

}  // namespace hadal::kernels
