// The reference against sums in double precision, from the decoders' floats: the oracle of the fast
// kernels must itself be right.
#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/activation.h"
#include "kernels/exp.h"
#include "kernels/flush.h"
#include "kernels/tables.h"
#include "unit/kernels/random_matrix.h"

namespace hadal::kernels {
namespace {

std::vector<float> decoded_row(const Matrix& w, int64_t row) {
  std::vector<float> out(static_cast<size_t>(w.cols));
  ref_table().decode_row(&w, row, out.data());
  return out;
}

// Activations as the product sees them: the floats, or scale times code.
std::vector<double> seen(const Activations& x, Activation form, int64_t t, int64_t k) {
  std::vector<double> out(static_cast<size_t>(k));
  const uint8_t* row = x.data + t * x.stride;
  const int64_t block = form == Activation::q8_32 ? q8_small_block : q8_large_block;
  for (int64_t i = 0; i < k; ++i) {
    out[static_cast<size_t>(i)] =
        form == Activation::f32 ? reinterpret_cast<const float*>(row)[i]
        : form == Activation::bf16
            ? bf16_to_float(reinterpret_cast<const uint16_t*>(row)[i])
            : static_cast<double>(q8_scales(row, k)[i / block]) * q8_codes(row)[i];
  }
  return out;
}

void check_matmul(quant::Type type, Activation form, int64_t cols) {
  std::mt19937 random(static_cast<uint32_t>(type) + 7);
  constexpr int64_t n = 3, rows = 5;
  const RandomMatrix w(type, rows + 2, cols, random);
  const std::vector<float> x = random_floats(n * cols, random);
  const Activations a(ref_table(), form, x, n, cols);
  std::vector<float> y(n * (rows + 1), -1.0f);
  ref_table().matmul({&w.matrix, 1, 1 + rows, form, a.data, a.stride, n, y.data(), rows + 1});
  for (int64_t t = 0; t < n; ++t) {
    const std::vector<double> xs = seen(a, form, t, cols);
    for (int64_t r = 0; r < rows; ++r) {
      const std::vector<float> row = decoded_row(w.matrix, r + 1);
      double sum = 0.0, magnitude = 0.0;
      for (size_t i = 0; i < row.size(); ++i) {
        sum += row[i] * xs[i];
        magnitude += std::fabs(row[i] * xs[i]);
      }
      // K-quants: d * scale * code - dmin * min may cancel in one weight.
      EXPECT_NEAR(y[static_cast<size_t>(t * (rows + 1) + r)], sum, 4e-6 * magnitude + 1e-6)
          << quant::type_info(type).name << " row " << r << " token " << t;
    }
    EXPECT_EQ(y[static_cast<size_t>(t * (rows + 1) + rows)], -1.0f);
  }
}

TEST(Ref, MatmulEqualsDoubleSums) {
  for (const quant::Type type : all_types) {
    const int64_t block = quant::type_info(type).block_weights;
    check_matmul(type, Activation::f32, block == 1 ? 1501 : 5 * block);
    if (native_activation(type) != Activation::f32) {
      check_matmul(type, native_activation(type), block == 1 ? 1501 : 5 * block);
    }
  }
}

TEST(Ref, SubnormalNumbersAreFlushed) {
  constexpr float smallest = 0x1p-126f;
  EXPECT_EQ(add_flushed(smallest / 2, smallest), smallest);
  EXPECT_EQ(float_bits(add_flushed(smallest, -1.5f * smallest)), 0x80000000u);
  EXPECT_EQ(fma_flushed(smallest / 2, 0x1p100f, 1.0f), 1.0f);
  EXPECT_EQ(fma_flushed(0x1p-63f, 0x1p-63f, 0.0f), smallest);
  // smallest * (1 - f * 2^-25): up to f = 1 it rounds up to the smallest number.
  EXPECT_EQ(fma_flushed(0x1p-76f, -0x1p-75f, smallest), smallest);
  EXPECT_EQ(fma_flushed(0x1.8p-76f, -0x1p-75f, smallest), 0.0f);
  EXPECT_EQ(float_bits(fma_flushed(0x1.8p-76f, 0x1p-75f, -smallest)), 0x80000000u);
}

TEST(Ref, QuantisedActivationsAreWithinHalfAStep) {
  std::mt19937 random(3);
  for (const Activation form : {Activation::q8_32, Activation::q8_256}) {
    const int64_t k = 1024, block = form == Activation::q8_32 ? 32 : 256;
    std::vector<float> x = random_floats(k, random);
    for (int64_t i = 0; i < block; ++i) {
      x[static_cast<size_t>(i)] = 0.0f;
      x[static_cast<size_t>(block + i)] *= 1e-38f;  // would overflow 127 / amax
    }
    const Activations a(ref_table(), form, x, 1, k);
    const std::vector<double> xs = seen(a, form, 0, k);
    int64_t extremes = 0;
    for (int64_t i = 0; i < k; ++i) {
      const double step = q8_scales(a.data, k)[i / block];
      EXPECT_NEAR(xs[static_cast<size_t>(i)], x[static_cast<size_t>(i)], 0.5001 * step + 1e-30);
      extremes += std::abs(q8_codes(a.data)[i]) == 127 ? 1 : 0;
    }
    EXPECT_EQ(q8_scales(a.data, k)[0], 0.0f);
    EXPECT_EQ(q8_scales(a.data, k)[1], 0.0f);
    EXPECT_GE(extremes, k / block - 2);
    int64_t sums = 0, codes = 0;
    for (int64_t i = 0; i < k; ++i) codes += q8_codes(a.data)[i];
    if (form == Activation::q8_32) {
      for (int64_t i = 0; i < k / 32; ++i) sums += q8_small_sums(a.data, k)[i];
    } else {
      for (int64_t i = 0; i < k / 16; ++i) sums += q8_large_sums(a.data, k)[i];
    }
    EXPECT_EQ(sums, codes);
  }
}

TEST(Ref, Exponential) {
  EXPECT_EQ(exp_f32(0.0f), 1.0f);
  EXPECT_EQ(exp_f32(-INFINITY), 0.0f);
  EXPECT_EQ(exp_f32(-100.0f), 0.0f);
  EXPECT_EQ(exp_f32(89.0f), INFINITY);
  double worst = 0.0;
  for (float x = -87.3f; x < 88.7f; x += 0.00371f) {
    worst = std::max(worst, std::fabs(exp_f32(x) / std::exp(static_cast<double>(x)) - 1.0));
  }
  EXPECT_LT(worst, 1.5e-7);
  EXPECT_TRUE(std::isfinite(exp_f32(exp_high)));
  EXPECT_GE(exp_f32(exp_low), 0x1p-126f);
}

TEST(Ref, Elementwise) {
  std::mt19937 random(5);
  constexpr int64_t n = 74;
  const std::vector<float> x = random_floats(n, random), w = random_floats(n, random);
  std::vector<float> y(n);
  double squares = 0.0;
  for (const float v : x) squares += static_cast<double>(v) * v;
  ref_table().rms_norm(x.data(), w.data(), 1e-5f, n, y.data());
  for (size_t i = 0; i < n; ++i) {
    EXPECT_NEAR(y[i], x[i] * w[i] / std::sqrt(squares / n + 1e-5), 1e-5);
  }
  ref_table().silu_mul(x.data(), w.data(), n, y.data());
  for (size_t i = 0; i < n; ++i) EXPECT_NEAR(y[i], x[i] / (1.0 + std::exp(-x[i])) * w[i], 1e-6);

  std::vector<float> cs(n), p = x, q = x;
  for (size_t i = 0; i < n / 2; ++i) {
    cs[2 * i] = std::cos(static_cast<float>(i));
    cs[2 * i + 1] = std::sin(static_cast<float>(i));
  }
  ref_table().rope_interleaved(p.data(), cs.data(), n);
  ref_table().rope_halves(q.data(), cs.data(), n);
  for (size_t i = 0; i < n / 2; ++i) {
    EXPECT_NEAR(p[2 * i], x[2 * i] * cs[2 * i] - x[2 * i + 1] * cs[2 * i + 1], 1e-6);
    EXPECT_NEAR(p[2 * i + 1], x[2 * i] * cs[2 * i + 1] + x[2 * i + 1] * cs[2 * i], 1e-6);
    EXPECT_NEAR(q[i], x[i] * cs[2 * i] - x[i + n / 2] * cs[2 * i + 1], 1e-6);
    EXPECT_NEAR(q[i + n / 2], x[i] * cs[2 * i + 1] + x[i + n / 2] * cs[2 * i], 1e-6);
  }
}

TEST(Ref, Attention) {
  std::mt19937 random(6);
  constexpr int64_t queries = 3, count = 5, width = 21, stride = 24;
  const std::vector<float> q = random_floats(queries * width, random);
  const std::vector<float> keys = random_floats(count * stride, random);
  const Rows rows = {quant::Type::F32, keys.data(), count, stride};
  std::vector<float> s(queries * count);
  ref_table().attention_scores(q.data(), width, queries, &rows, width, 0.5f, s.data(), count);
  for (int64_t i = 0; i < queries; ++i) {
    for (int64_t j = 0; j < count; ++j) {
      double dot = 0.0;
      for (int64_t c = 0; c < width; ++c) {
        dot += static_cast<double>(q[static_cast<size_t>(i * width + c)]) *
               keys[static_cast<size_t>(j * stride + c)];
      }
      EXPECT_NEAR(s[static_cast<size_t>(i * count + j)], 0.5 * dot, 1e-5);
    }
  }
  std::vector<float> p = s;
  const float sum = ref_table().softmax(p.data(), count);
  double expected = 0.0;
  const float max = *std::max_element(s.begin(), s.begin() + count);
  for (size_t j = 0; j < count; ++j) {
    expected += std::exp(static_cast<double>(s[j]) - max);
    EXPECT_NEAR(p[j], std::exp(static_cast<double>(s[j]) - max), 1e-6);
  }
  EXPECT_NEAR(sum, expected, 1e-5);
  std::vector<float> y(width, 1.0f);
  ref_table().attention_values(p.data(), count, 1, &rows, width, y.data(), width);
  for (int64_t c = 0; c < width; ++c) {
    double value = 1.0;
    for (int64_t j = 0; j < count; ++j) {
      value += static_cast<double>(p[static_cast<size_t>(j)]) *
               keys[static_cast<size_t>(j * stride + c)];
    }
    EXPECT_NEAR(y[static_cast<size_t>(c)], value, 1e-5);
  }
}

TEST(Ref, MatmulTransposed) {
  std::mt19937 random(8);
  constexpr int64_t n = 2, rows = 7;
  for (const quant::Type type : all_types) {
    const int64_t cols = quant::type_info(type).block_weights == 1 ? 37 : 256;
    const RandomMatrix w(type, rows, cols, random);
    const std::vector<float> x = random_floats(n * rows, random);
    std::vector<float> y(static_cast<size_t>(n * cols), 9.0f), scratch(static_cast<size_t>(cols));
    ref_table().matmul_transposed(&w.matrix, 2, 6, x.data(), rows, n, y.data(), cols,
                                  scratch.data());
    for (int64_t t = 0; t < n; ++t) {
      std::vector<double> sum(static_cast<size_t>(cols));
      for (int64_t r = 2; r < 6; ++r) {
        const std::vector<float> row = decoded_row(w.matrix, r);
        for (size_t c = 0; c < row.size(); ++c) {
          sum[c] += static_cast<double>(x[static_cast<size_t>(t * rows + r - 2)]) * row[c];
        }
      }
      for (size_t c = 0; c < sum.size(); ++c) {
        EXPECT_NEAR(y[static_cast<size_t>(t * cols) + c], sum[c], 1e-5 * (1.0 + std::fabs(sum[c])));
      }
    }
  }
}

TEST(Dispatch, TablesByName) {
  EXPECT_STREQ(table_by_name("ref")->name, "ref");
  EXPECT_EQ(table_by_name("sse9"), nullptr);
  EXPECT_NE(active().name, nullptr);
}

}  // namespace
}  // namespace hadal::kernels
