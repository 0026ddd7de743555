// Every entry of every table of this machine equals the reference bit for bit.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/tables.h"
#include "unit/kernels/random_matrix.h"

namespace hadal::kernels {
namespace {

class Equality : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string name = GetParam();
    table_ = name == "portable_avx512" ? &portable_avx512_table()
             : name == "portable_amx"  ? &portable_amx_table()
                                       : table_by_name(GetParam());
    if (table_ == nullptr) GTEST_SKIP() << GetParam() << " is not for this machine or build";
  }

  const Table& fast() const { return *table_; }
  static const Table& ref() { return ref_table(); }

  std::mt19937 random_{11};

 private:
  const Table* table_ = nullptr;
};

// Index of the first difference in bits, or -1.
int64_t difference(const std::vector<float>& a, const std::vector<float>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (float_bits(a[i]) != float_bits(b[i])) return static_cast<int64_t>(i);
  }
  return -1;
}

struct Shape {
  int64_t rows, cols, n;
};

// As the model does it: from packed activations where the table asks for them.
void multiply(const Table& table, Matmul m) {
  const Packed packed(table, m.w->type, m.activation, m.x, m.x_stride, m.n, m.w->cols);
  if (packed.data == nullptr) return table.matmul(m);
  m.x = packed.data;
  table.matmul_packed(m);
}

void check_matmul(const Table& fast, quant::Type type, Activation form, Shape s,
                  std::mt19937& random) {
  const RandomMatrix w(type, s.rows, s.cols, random);
  std::vector<float> x = random_floats(s.n * s.cols, random);
  for (int64_t i = 0; i < std::min<int64_t>(32, s.cols); ++i) x[static_cast<size_t>(i)] = 0.0f;
  const Activations a(ref_table(), form, x, s.n, s.cols);
  const int64_t begin = s.rows > 3 ? 1 : 0, stride = s.rows + 3;
  std::vector<float> expected(static_cast<size_t>(s.n * stride), 7.0f), y = expected;
  Matmul m = {&w.matrix, begin, s.rows, form, a.data, a.stride, s.n, expected.data(), stride};
  ref_table().matmul(m);
  m.y = y.data();
  multiply(fast, m);
  const int64_t i = difference(expected, y);
  ASSERT_EQ(i, -1) << quant::type_info(type).name << " form " << static_cast<int>(form) << " ["
                   << s.rows << ", " << s.cols << "] n " << s.n << ": token " << i / stride
                   << " row " << i % stride << ": " << expected[static_cast<size_t>(i)] << " and "
                   << y[static_cast<size_t>(i)];
}

bool is_quantised(Activation form) {
  return form == Activation::q8_32 || form == Activation::q8_256;
}

TEST_P(Equality, MatmulOfIntegerFormats) {
  for (const quant::Type type : all_types) {
    const Activation form = native_activation(type);
    if (!is_quantised(form)) continue;
    const int64_t block = quant::type_info(type).block_weights;
    for (const int64_t n : {1, 2, 3, 4, 5, 8, 17, 64}) {
      const auto rows = static_cast<int64_t>(1 + random_() % 27);
      const auto cols = static_cast<int64_t>(1 + random_() % 5) * block;
      check_matmul(fast(), type, form, {rows, cols, n}, random_);
      if (HasFatalFailure()) return;
    }
    const int64_t cols = block == 32 ? 2848 : 2560;
    for (const Shape shape : {Shape{20, cols, 6}, {20, cols, 33}, {38, cols, 70}}) {
      check_matmul(fast(), type, form, shape, random_);
      if (HasFatalFailure()) return;
    }
    // More activations than the kernels take at a time.
    check_matmul(fast(), type, form, {17, 512, 530}, random_);
    if (HasFatalFailure()) return;
  }
}

TEST_P(Equality, MatmulOfFloats) {
  for (const quant::Type type : all_types) {
    const int64_t block = quant::type_info(type).block_weights;
    for (const int64_t n : {1, 2, 3, 5, 8, 17, 64}) {
      const auto rows = static_cast<int64_t>(1 + random_() % 19);
      const auto cols = block == 1 ? static_cast<int64_t>(1 + random_() % 401)
                                   : static_cast<int64_t>(1 + random_() % 2) * block;
      check_matmul(fast(), type, Activation::f32, {rows, cols, n}, random_);
      if (HasFatalFailure()) return;
    }
    for (const int64_t cols : {20, 72, 401, 1408, 4999}) {
      if (cols % block != 0) continue;
      check_matmul(fast(), type, Activation::f32, {11, cols, 3}, random_);
      if (HasFatalFailure()) return;
    }
  }
}

// FP8 tiles: row ranges and columns that cross the 128 x 128 tiles.
TEST_P(Equality, MatmulOfManyTiles) {
  check_matmul(fast(), quant::Type::FP8_E4M3, Activation::f32, {270, 300, 3}, random_);
  check_matmul(fast(), quant::Type::FP8_E4M3, Activation::f32, {135, 129, 1}, random_);
}

TEST_P(Equality, MatmulOfBf16Activations) {
  for (const quant::Type type : {quant::Type::BF16, quant::Type::FP8_E4M3}) {
    for (const int64_t cols : {1, 2, 31, 32, 33, 100, 128, 129, 256, 300, 577, 1408}) {
      for (const int64_t n : {1, 2, 3, 4, 15, 16, 17, 31, 33, 48, 50, 100}) {
        const auto rows = static_cast<int64_t>(1 + random_() % 40);
        check_matmul(fast(), type, Activation::bf16, {rows, cols, n}, random_);
        if (HasFatalFailure()) return;
      }
    }
    for (const int64_t n : {1, 2, 6, 33}) {
      check_matmul(fast(), type, Activation::bf16, {270, 300, n}, random_);
      check_matmul(fast(), type, Activation::bf16, {135, 2080, n}, random_);
      check_matmul(fast(), type, Activation::bf16, {17, 7168, n}, random_);
    }
  }
}

// Numbers of all sizes: operands, products and sums become subnormal.
TEST_P(Equality, MatmulOfTinyAndHugeBf16) {
  constexpr int64_t rows = 21, cols = 200;
  const auto number = [&](int spread) {
    const int e = 64 + static_cast<int>(random_() % static_cast<unsigned>(spread)) - spread / 2;
    return static_cast<uint16_t>((random_() & 0x807f) | static_cast<unsigned>(e < 0 ? 0 : e) << 7);
  };
  for (const int spread : {1, 4, 20, 120, 200}) {
    for (const int64_t n : {1, 2, 5, 16, 40}) {
      for (const quant::Type type : {quant::Type::BF16, quant::Type::FP8_E4M3}) {
        RandomMatrix w(type, rows, cols, random_);
        auto* p =
            w.bytes.data() + (w.bytes.size() - static_cast<size_t>(rows * w.matrix.row_bytes));
        for (int64_t i = 0; type == quant::Type::BF16 && i < rows * cols; ++i) {
          const uint16_t h = number(spread);
          std::memcpy(p + 2 * i, &h, 2);
        }
        for (float& s : w.scales) s = bf16_to_float(number(spread));
        std::vector<float> x(static_cast<size_t>(n * cols));
        for (float& v : x) v = bf16_to_float(number(spread));
        if (type == quant::Type::FP8_E4M3) {
          for (float& v : x) v *= 0x1p-50f;
        }
        const Activations a(ref(), Activation::bf16, x, n, cols);
        std::vector<float> expected(static_cast<size_t>(n * rows)), y = expected;
        Matmul m = {&w.matrix,       0,   rows, Activation::bf16, a.data, a.stride, n,
                    expected.data(), rows};
        ref().matmul(m);
        m.y = y.data();
        fast().matmul(m);
        ASSERT_EQ(difference(expected, y), -1) << quant::type_info(type).name << " " << spread;
      }
    }
  }
}

// The extreme codes: sums of products reach the ends of the 16-bit range.
TEST_P(Equality, MatmulOfExtremes) {
  for (const quant::Type type : all_types) {
    const Activation form = native_activation(type);
    if (!is_quantised(form)) continue;
    for (const int fill : {0x00, 0xff, 0x80, 0x7f, 0x88}) {
      constexpr int64_t rows = 9, cols = 512;
      RandomMatrix w(type, rows, cols, random_);
      const quant::TypeInfo& info = quant::type_info(type);
      std::vector<uint8_t> bytes(w.bytes.size(), static_cast<uint8_t>(fill));
      const uint16_t one = 0x3c00;
      for (size_t i = 1; i < bytes.size(); i += static_cast<size_t>(info.block_bytes)) {
        for (const size_t field : half_fields(type)) std::memcpy(&bytes[i + field], &one, 2);
        if (type == quant::Type::MXFP4) bytes[i] = 128;
      }
      std::copy(bytes.begin(), bytes.end(), w.bytes.begin());
      for (const int64_t n : {1, 6, 33}) {
        for (const float sign : {1.0f, -1.0f}) {
          const std::vector<float> x(static_cast<size_t>(n * cols), sign);
          const Activations a(ref(), form, x, n, cols);
          std::vector<float> expected(static_cast<size_t>(n * rows)), y = expected;
          Matmul m = {&w.matrix, 0, rows, form, a.data, a.stride, n, expected.data(), rows};
          ref().matmul(m);
          m.y = y.data();
          multiply(fast(), m);
          ASSERT_EQ(difference(expected, y), -1) << info.name << " filled with " << fill;
        }
      }
    }
  }
}

TEST_P(Equality, DecodeRow) {
  for (const quant::Type type : all_types) {
    const int64_t cols = quant::type_info(type).block_weights == 1 ? 333 : 768;
    const RandomMatrix w(type, 3, cols, random_);
    std::vector<float> expected(static_cast<size_t>(cols)), y = expected;
    for (int64_t r = 0; r < 3; ++r) {
      ref().decode_row(&w.matrix, r, expected.data());
      fast().decode_row(&w.matrix, r, y.data());
      ASSERT_EQ(difference(expected, y), -1) << quant::type_info(type).name;
    }
  }
}

TEST_P(Equality, MatmulTransposed) {
  for (const quant::Type type : all_types) {
    for (const int64_t n : {1, 2, 5, 17}) {
      const int64_t cols = quant::type_info(type).block_weights == 1 ? 77 : 512;
      constexpr int64_t rows = 37;
      const RandomMatrix w(type, rows, cols, random_);
      const std::vector<float> x = random_floats(n * 40, random_);
      const auto size = static_cast<size_t>(n * (cols + 1));
      std::vector<float> expected(size, 5.0f), y = expected, scratch(static_cast<size_t>(cols));
      ref().matmul_transposed(&w.matrix, 3, 36, x.data(), 40, n, expected.data(), cols + 1,
                              scratch.data());
      fast().matmul_transposed(&w.matrix, 3, 36, x.data(), 40, n, y.data(), cols + 1,
                               scratch.data());
      ASSERT_EQ(difference(expected, y), -1) << quant::type_info(type).name;
    }
  }
}

TEST_P(Equality, Quantize) {
  for (const Activation form : {Activation::q8_32, Activation::q8_256}) {
    for (const float scale : {1.0f, 1e-3f, 1e20f, 1e-31f, 1e-38f}) {
      const std::vector<float> x = random_floats(1280, random_, scale);
      const Activations expected(ref(), form, x, 1, 1280), y(fast(), form, x, 1, 1280);
      ASSERT_EQ(std::memcmp(expected.data, y.data, static_cast<size_t>(y.stride)), 0);
    }
    std::vector<float> halves(1280);  // ties of rounding
    for (size_t i = 0; i < halves.size(); ++i) {
      halves[i] = i % 16 == 0 ? 127.0f : static_cast<float>(i % 251) * 0.5f - 62.5f;
    }
    const Activations expected(ref(), form, halves, 1, 1280), y(fast(), form, halves, 1, 1280);
    ASSERT_EQ(std::memcmp(expected.data, y.data, static_cast<size_t>(y.stride)), 0);
  }
}

TEST_P(Equality, Attention) {
  for (const quant::Type type : {quant::Type::F32, quant::Type::BF16}) {
    for (const int64_t width : {16, 24, 64, 72, 192, 576}) {
      for (const int64_t queries : {1, 2, 3, 4, 5, 11, 16}) {
        const auto count = static_cast<int64_t>(1 + random_() % 66);
        const int64_t stride = width + 8;
        const std::vector<float> q = random_floats(queries * (width + 3), random_);
        const RandomMatrix keys(type, count, stride, random_);
        Rows rows = {type, keys.matrix.data, count, stride};
        if (queries % 2 == 0) rows.follow = rows.data;
        const auto size = static_cast<size_t>(queries * (count + 2));
        std::vector<float> expected(size, 3.0f), s = expected;
        ref().attention_scores(q.data(), width + 3, queries, &rows, width, 0.3f, expected.data(),
                               count + 2);
        fast().attention_scores(q.data(), width + 3, queries, &rows, width, 0.3f, s.data(),
                                count + 2);
        ASSERT_EQ(difference(expected, s), -1) << "scores " << width << " x " << queries;

        const std::vector<float> y0 = random_floats(queries * (width + 5), random_);
        std::vector<float> y1 = y0, y2 = y0;
        ref().attention_values(s.data(), count + 2, queries, &rows, width, y1.data(), width + 5);
        fast().attention_values(s.data(), count + 2, queries, &rows, width, y2.data(), width + 5);
        ASSERT_EQ(difference(y1, y2), -1) << "values " << width << " x " << queries;
      }
    }
  }
}

TEST_P(Equality, Softmax) {
  for (const int64_t n : {1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 401, 1000}) {
    for (const float scale : {1.0f, 20.0f, 200.0f}) {
      std::vector<float> expected = random_floats(n, random_, scale), y = expected;
      const float a = ref().softmax(expected.data(), n), b = fast().softmax(y.data(), n);
      ASSERT_EQ(float_bits(a), float_bits(b)) << n;
      ASSERT_EQ(difference(expected, y), -1) << n;
    }
  }
  std::vector<float> expected = {-INFINITY, 1.0f, -INFINITY, 0.5f, -90.0f}, y = expected;
  ASSERT_EQ(ref().softmax(expected.data(), 5), fast().softmax(y.data(), 5));
  ASSERT_EQ(difference(expected, y), -1);
}

TEST_P(Equality, Merge) {
  for (const int64_t width : {1, 15, 16, 33, 96, 512}) {
    for (const int64_t pieces : {1, 2, 5, 16}) {
      const std::vector<float> o = random_floats(pieces * (width + 3), random_);
      const std::vector<float> factors = random_floats(2 * pieces, random_);
      std::vector<float> expected(static_cast<size_t>(width + 1), 3.0f), y = expected;
      ref().merge(o.data(), width + 3, pieces, factors.data(), 0.3f, width, expected.data());
      fast().merge(o.data(), width + 3, pieces, factors.data(), 0.3f, width, y.data());
      ASSERT_EQ(difference(expected, y), -1) << width << " x " << pieces;
    }
  }
}

TEST_P(Equality, Elementwise) {
  for (const int64_t n : {2, 6, 8, 10, 16, 20, 34, 64, 72, 402, 1408}) {
    const std::vector<float> x = random_floats(n, random_, 30.0f), w = random_floats(n, random_);
    std::vector<float> expected(static_cast<size_t>(n)), y = expected;
    ref().rms_norm(x.data(), w.data(), 1e-6f, n, expected.data());
    fast().rms_norm(x.data(), w.data(), 1e-6f, n, y.data());
    ASSERT_EQ(difference(expected, y), -1) << "rms_norm " << n;
    ref().silu_mul(x.data(), w.data(), n, expected.data());
    y = x;
    fast().silu_mul(y.data(), w.data(), n, y.data());  // in place
    ASSERT_EQ(difference(expected, y), -1) << "silu_mul " << n;
    ref().add_scaled(0.7f, x.data(), n, expected.data());
    fast().add_scaled(0.7f, x.data(), n, y.data());
    ASSERT_EQ(difference(expected, y), -1) << "add_scaled " << n;
    ref().rope_interleaved(expected.data(), w.data(), n);
    fast().rope_interleaved(y.data(), w.data(), n);
    ASSERT_EQ(difference(expected, y), -1) << "rope_interleaved " << n;
    ref().rope_halves(expected.data(), w.data(), n);
    fast().rope_halves(y.data(), w.data(), n);
    ASSERT_EQ(difference(expected, y), -1) << "rope_halves " << n;

    std::vector<uint16_t> h1(static_cast<size_t>(n)), h2 = h1;
    y[0] = expected[0] = NAN;
    ref().float_to_bf16(y.data(), n, h1.data());
    fast().float_to_bf16(y.data(), n, h2.data());
    ASSERT_EQ(h1, h2);
    ref().round_bf16(expected.data(), n);
    fast().round_bf16(y.data(), n);
    ASSERT_EQ(difference(expected, y), -1) << "round_bf16 " << n;
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, Equality,
                         testing::Values("avx2", "avx512", "amx", "portable_avx512",
                                         "portable_amx"),
                         [](const auto& p) { return std::string(p.param); });

}  // namespace
}  // namespace hadal::kernels
