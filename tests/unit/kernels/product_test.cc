// The entries for training equal the reference bit for bit, by instructions and by their portable
// twins.
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/tables.h"
#include "unit/kernels/random_matrix.h"

namespace hadal::kernels {
namespace {

class Training : public testing::TestWithParam<const char*> {
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
  std::mt19937 random_{5};

 private:
  const Table* table_ = nullptr;
};

int64_t size_of(quant::Type type) {
  return type == quant::Type::BF16 ? 2 : 4;
}

// Random rows of an odd stride, readable behind their ends.
struct RandomOperand {
  RandomOperand(quant::Type type, int64_t rows, int64_t cols, std::mt19937& random) {
    const int64_t stride = cols + 5;
    const auto count = static_cast<size_t>(rows * stride + 32);
    floats = random_floats(static_cast<int64_t>(count), random);
    halves.resize(count);
    ref_table().float_to_bf16(floats.data(), static_cast<int64_t>(count), halves.data());
    const void* data = type == quant::Type::BF16 ? static_cast<const void*>(halves.data())
                                                 : static_cast<const void*>(floats.data());
    operand = {type, data, stride, rows, cols};
  }
  std::vector<float> floats;
  std::vector<uint16_t> halves;
  Operand operand{};
};

struct alignas(64) Line {
  std::byte bytes[64];
};
bool operator==(const Line& a, const Line& b) {
  return std::memcmp(&a, &b, sizeof(Line)) == 0;
}

std::vector<Line> panels(void (*pack)(const Packing&), const Operand& from, bool columns) {
  const int64_t k = columns ? from.cols : from.rows, cols = columns ? from.rows : from.cols;
  std::vector<Line> out(static_cast<size_t>(panels_bytes(from.type, k, cols)) / 64,
                        Line{{std::byte{7}}});
  pack({from, out.data(), panel_bytes(from.type, k)});
  return out;
}

constexpr quant::Type types[] = {quant::Type::BF16, quant::Type::F32};

TEST_P(Training, Packing) {
  for (const quant::Type type : types) {
    for (const int64_t rows : {1, 2, 15, 16, 31, 32, 33, 50, 64}) {
      for (const int64_t cols : {1, 7, 16, 31, 32, 40, 64, 77}) {
        const RandomOperand x(type, rows, cols, random_);
        ASSERT_EQ(panels(ref().pack_rows, x.operand, false),
                  panels(fast().pack_rows, x.operand, false))
            << rows << " x " << cols;
        ASSERT_EQ(panels(ref().pack_columns, x.operand, true),
                  panels(fast().pack_columns, x.operand, true))
            << rows << " x " << cols;
        const int64_t stride = (rows + 31) / 32 * 32 + 32;
        std::vector<std::byte> expected(static_cast<size_t>(cols * stride * size_of(type)));
        std::vector<std::byte> out = expected;
        ref().transpose({x.operand, expected.data(), stride});
        fast().transpose({x.operand, out.data(), stride});
        ASSERT_EQ(expected, out) << rows << " x " << cols;
      }
    }
  }
}

TEST_P(Training, Products) {
  for (const quant::Type type : types) {
    for (const int64_t rows : {1, 3, 12, 16, 17, 32, 45, 70}) {
      for (const int64_t cols : {1, 16, 24, 32, 48, 50}) {
        for (const int64_t k : {1, 31, 32, 64, 100, 300, 600}) {
          if (rows * cols * k > 400000) continue;
          const RandomOperand a(type, rows, k, random_), b(type, k, cols, random_);
          const std::vector<Line> packed = panels(ref().pack_rows, b.operand, false);
          for (const bool add : {false, true}) {
            std::vector<float> expected = random_floats(rows * (cols + 3), random_);
            std::vector<float> y = expected;
            PanelProduct m = {a.operand, packed.data(),   panel_bytes(type, k),
                              cols,      expected.data(), cols + 3,
                              add};
            ref().product(m);
            m.y = y.data();
            fast().product(m);
            ASSERT_EQ(std::memcmp(y.data(), expected.data(), y.size() * 4), 0)
                << rows << " x " << k << " x " << cols << (add ? " added" : "");
          }
        }
      }
    }
  }
}

TEST_P(Training, Elementwise) {
  for (const int64_t n : {1, 5, 16, 17, 33, 64, 100, 320, 401}) {
    const std::vector<float> x = random_floats(n, random_, 4.0f), w = random_floats(n, random_);
    const std::vector<float> dy = random_floats(n, random_), z = random_floats(n, random_);
    const auto same = [&](const std::vector<float>& a, const std::vector<float>& b) {
      return std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
    };
    ASSERT_EQ(float_bits(ref().dot(x.data(), w.data(), n)),
              float_bits(fast().dot(x.data(), w.data(), n)));
    std::vector<float> a(x), b(x), c(w), d(w), e(z), f(z);
    ref().scale(0.3f, x.data(), n, a.data());
    fast().scale(0.3f, x.data(), n, b.data());
    ASSERT_TRUE(same(a, b)) << "scale " << n;
    float top_a = 0, top_b = 1;
    a = b = x;
    ASSERT_EQ(float_bits(ref().softmax_scaled(a.data(), n, 0.7f, &top_a)),
              float_bits(fast().softmax_scaled(b.data(), n, 0.7f, &top_b)));
    ASSERT_EQ(top_a, top_b);
    ASSERT_TRUE(same(a, b)) << "softmax_scaled " << n;
    a = b = x;
    ref().score_derivatives(a.data(), c.data(), n, 0.7f, dy.data(), z.data());
    fast().score_derivatives(b.data(), d.data(), n, 0.7f, dy.data(), z.data());
    ASSERT_TRUE(same(a, b) && same(c, d)) << "score_derivatives " << n;
    ref().silu_mul_backward(x.data(), w.data(), dy.data(), 0.6f, n, a.data(), c.data(), e.data());
    fast().silu_mul_backward(x.data(), w.data(), dy.data(), 0.6f, n, b.data(), d.data(), f.data());
    ASSERT_TRUE(same(a, b) && same(c, d) && same(e, f)) << "silu_mul_backward " << n;
    for (const bool add : {false, true}) {
      ref().rms_norm_backward(x.data(), w.data(), dy.data(), 1e-6f, n, add, a.data(), c.data());
      fast().rms_norm_backward(x.data(), w.data(), dy.data(), 1e-6f, n, add, b.data(), d.data());
      ASSERT_TRUE(same(a, b) && same(c, d)) << "rms_norm_backward " << n;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, Training,
                         testing::Values("avx2", "avx512", "amx", "portable_avx512",
                                         "portable_amx"),
                         [](const auto& p) { return std::string(p.param); });

}  // namespace
}  // namespace hadal::kernels
