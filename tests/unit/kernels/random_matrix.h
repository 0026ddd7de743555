// Random weights of any format: random codes, scales that are finite floats of ordinary size with
// zeros and subnormals among them.
#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "base/scalar.h"
#include "kernels/kernels.h"
#include "quant/format.h"

namespace hadal::kernels {

inline const std::vector<quant::Type> all_types = {
    quant::Type::F32,    quant::Type::F16,    quant::Type::BF16,  quant::Type::FP8_E4M3,
    quant::Type::Q8_0,   quant::Type::Q4_0,   quant::Type::Q4_1,  quant::Type::Q5_0,
    quant::Type::Q5_1,   quant::Type::IQ4_NL, quant::Type::MXFP4, quant::Type::Q2_K,
    quant::Type::Q3_K,   quant::Type::Q4_K,   quant::Type::Q5_K,  quant::Type::Q6_K,
    quant::Type::IQ4_XS,
};

// Byte offsets of the f16 fields of a block.
inline std::vector<size_t> half_fields(quant::Type type) {
  switch (type) {
    case quant::Type::Q4_1:
    case quant::Type::Q5_1:
    case quant::Type::Q4_K:
    case quant::Type::Q5_K:
      return {0, 2};
    case quant::Type::Q2_K:
      return {80, 82};
    case quant::Type::Q3_K:
      return {108};
    case quant::Type::Q6_K:
      return {208};
    case quant::Type::MXFP4:
      return {};
    default:
      return {0};
  }
}

struct RandomMatrix {
  Matrix matrix{};
  std::vector<uint8_t> bytes;
  std::vector<float> scales;

  // Rows lie back to back from an odd address, as unaligned as a file may have them.
  RandomMatrix(quant::Type type, int64_t rows, int64_t cols, std::mt19937& random) {
    const quant::TypeInfo& info = quant::type_info(type);
    const size_t row_bytes = quant::row_bytes(type, cols);
    const bool whole = info.block_weights == 1;  // F32 ...: keep the floats' own alignment
    const size_t offset = whole ? 4 : 1;
    bytes.resize(offset + row_bytes * static_cast<size_t>(rows));
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(random());
    const size_t blocks = (bytes.size() - offset) / static_cast<size_t>(info.block_bytes);
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < blocks; ++i) {
      uint8_t* p = bytes.data() + offset + i * static_cast<size_t>(info.block_bytes);
      if (whole) {
        store_float(type, p, normal(random));
      } else if (type == quant::Type::MXFP4) {
        p[0] = random() % 64 == 0 ? static_cast<uint8_t>(random() % 2)
                                  : static_cast<uint8_t>(120 + random() % 8);
      } else {
        for (const size_t field : half_fields(type)) {
          uint16_t h = float_to_f16(normal(random) * 0.01f);
          if (random() % 32 == 0) h &= 0x83ffu;  // subnormal
          if (random() % 32 == 0) h = 0;
          std::memcpy(p + field, &h, 2);
        }
      }
    }
    matrix = {type, bytes.data() + offset, rows, cols, static_cast<int64_t>(row_bytes), nullptr, 0};
    if (type == quant::Type::FP8_E4M3) {
      matrix.scale_stride = (cols + 127) / 128;
      scales.resize(static_cast<size_t>((rows + 127) / 128 * matrix.scale_stride));
      for (float& s : scales) s = normal(random) * 0.01f;
      matrix.scales = scales.data();
    }
  }

  static void store_float(quant::Type type, uint8_t* p, float x) {
    const uint16_t half = type == quant::Type::F16 ? float_to_f16(x) : float_to_bf16(x);
    if (type == quant::Type::F32) std::memcpy(p, &x, 4);
    if (type == quant::Type::F16 || type == quant::Type::BF16) std::memcpy(p, &half, 2);
    if (type == quant::Type::FP8_E4M3 && (*p & 0x7f) == 0x7f) *p ^= 1;  // no NaN
  }
};

inline std::vector<float> random_floats(int64_t n, std::mt19937& random, float scale = 1.0f) {
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = normal(random);
  return x;
}

// Activations of n rows in a form, from floats; starts on 64 bytes.
struct Activations {
  std::vector<uint8_t> storage;
  uint8_t* data = nullptr;
  int64_t stride = 0;

  Activations(const Table& table, Activation form, const std::vector<float>& x, int64_t n,
              int64_t k)
      : stride(activation_bytes(form, k)) {
    storage.resize(static_cast<size_t>(n * stride) + 64);
    data = storage.data() + (64 - reinterpret_cast<uintptr_t>(storage.data()) % 64) % 64;
    for (int64_t t = 0; t < n; ++t) {
      convert(table, form, x.data() + t * k, k, data + t * stride);
    }
  }
};

// The same packed, sixteen rows at a time, where the table asks for it with such weights; data is
// null otherwise.
struct Packed {
  std::vector<uint8_t> storage;
  uint8_t* data = nullptr;

  Packed(const Table& table, quant::Type type, Activation form, const void* x, int64_t x_stride,
         int64_t n, int64_t k) {
    const int64_t bytes = table.packed_bytes(type, form, k, n);
    if (bytes == 0) return;
    storage.assign(static_cast<size_t>(bytes) + 64, 0xee);
    data = storage.data() + (64 - reinterpret_cast<uintptr_t>(storage.data()) % 64) % 64;
    const int64_t group = bytes / ((n + 15) / 16);
    for (int64_t t = 0; t < n; t += 16) {
      table.pack(form, static_cast<const char*>(x) + t * x_stride, x_stride,
                 n - t < 16 ? n - t : 16, k, data + t / 16 * group);
    }
  }
};

}  // namespace hadal::kernels
