// Attention on BF16: every table equals the reference bit for bit, and the reference is what the
// plain formula says within rounding.
#include "kernels/attend.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/scalar.h"
#include "kernels/tables.h"
#include "unit/kernels/random_matrix.h"

namespace hadal::kernels {
namespace {

constexpr float infinity = __builtin_inff();

struct Shape {
  int64_t queries, per_position, width, value_width, start, end;  // positions of the first query,
                                                                  // and of the last page's end
};

std::vector<uint16_t> random_bf16(int64_t n, float scale, std::mt19937& random) {
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<uint16_t> out(static_cast<size_t>(n));
  for (uint16_t& x : out) x = float_to_bf16(normal(random));
  return out;
}

// Queries, keys, values of a sequence, and what attention makes of them.
struct Problem {
  Problem(Shape shape, float spread, std::mt19937& random)
      : s(shape),
        key_stride(attend_padded(s.width, attend_step) + 32),
        value_stride(s.value_width + 3),
        pages((s.end + attend_page - 1) / attend_page),
        keys(random_bf16(pages * attend_page * key_stride, 1.0f, random)),
        values(random_bf16(pages * attend_page * value_stride, 1.0f, random)) {
    std::normal_distribution<float> normal(0.0f, spread);
    q.resize(static_cast<size_t>(s.queries * (s.width + 5)));
    for (float& x : q) x = normal(random);
  }

  void run(const Table& table) {
    packed.assign(static_cast<size_t>(packed_queries_size(s.queries, s.width)), 0xffff);
    table.pack_queries(q.data(), s.width + 5, s.queries, s.width, packed.data());
    state.clear();
    for (int64_t i = 0; i < s.queries; ++i) state.insert(state.end(), {-infinity, 0.0f});
    o.assign(static_cast<size_t>(s.queries * (s.value_width + 1)), 0.0f);
    std::vector<float> scratch(
        static_cast<size_t>(attend_scratch_bytes(s.width, s.value_width) / 4 + 16), NAN);
    for (int64_t page = 0; page < pages; ++page) {
      const int64_t first = page * attend_page;
      const int64_t after = first + attend_page;
      table.attend({.q = packed.data(),
                    .queries = s.queries,
                    .per_position = s.per_position,
                    .seen = s.start + 1 - first,
                    .keys = keys.data() + first * key_stride,
                    .key_stride = key_stride,
                    .width = s.width,
                    .values = values.data() + first * value_stride,
                    .value_stride = value_stride,
                    .value_width = s.value_width,
                    .positions = std::min(attend_page, s.end - first),
                    .scale = 0.21f,
                    .state = state.data(),
                    .o = o.data(),
                    .o_stride = s.value_width + 1,
                    .scratch = aligned(scratch.data()),
                    .follow = page + 1 < pages ? keys.data() + after * key_stride : nullptr,
                    .follow_bytes = 2 * attend_page * key_stride});
    }
  }

  static void* aligned(float* p) {
    return reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(p) + 63) / 64 * 64);
  }

  Shape s;
  int64_t key_stride, value_stride, pages;
  std::vector<uint16_t> keys, values, packed;
  std::vector<float> q, state, o;
};

std::vector<Shape> shapes() {
  return {{1, 1, 16, 16, 0, 1},        {1, 1, 576, 512, 200, 201},   {16, 16, 576, 512, 127, 128},
          {16, 16, 288, 256, 70, 71},  {128, 128, 576, 512, 65, 66}, {3, 3, 64, 64, 40, 41},
          {40, 1, 192, 128, 0, 40},    {100, 1, 96, 64, 30, 130},    {70, 1, 48, 20, 100, 170},
          {33, 1, 128, 128, 191, 224}, {64, 1, 40, 24, 64, 128},     {21, 7, 80, 80, 62, 65},
          {36, 4, 128, 128, 60, 69},   {5, 1, 33, 7, 3, 8},          {17, 1, 72, 40, 63, 80}};
}

std::string name(const Shape& s) {
  return std::to_string(s.queries) + " queries of " + std::to_string(s.width) + ", values of " +
         std::to_string(s.value_width) + ", from " + std::to_string(s.start) + " to " +
         std::to_string(s.end);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
}

class AttendEquality : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string wanted = GetParam();
    table = wanted == "portable_avx512" ? &portable_avx512_table()
            : wanted == "portable_amx"  ? &portable_amx_table()
                                        : table_by_name(GetParam());
    if (table == nullptr) GTEST_SKIP() << wanted << " is not for this machine or build";
  }
  const Table* table = nullptr;
};

TEST_P(AttendEquality, WithTheReference) {
  std::mt19937 random(3);
  for (const Shape& shape : shapes()) {
    for (const float spread : {0.3f, 3.0f, 40.0f}) {  // flat to one weight that is nearly all
      Problem problem(shape, spread, random);
      problem.run(ref_table());
      const Problem expected = problem;
      problem.run(*table);
      ASSERT_EQ(expected.packed, problem.packed) << name(shape);
      ASSERT_TRUE(same_bits(expected.state, problem.state)) << name(shape) << " " << spread;
      ASSERT_TRUE(same_bits(expected.o, problem.o)) << name(shape) << " " << spread;
    }
  }
}

// y [n, cols] of a table, between columns that must stay as they are.
std::vector<float> transposed(const Table& table, int64_t n, int64_t rows, int64_t cols,
                              float scale) {
  std::mt19937 random(6);
  const int64_t x_stride = attend_padded(rows, attend_step) + 32, w_stride = cols + 3;
  const auto x = random_bf16(attend_padded(n, 16) * x_stride, scale, random);
  const auto w = random_bf16(rows * w_stride, scale, random);
  std::vector<float> y(static_cast<size_t>(n * (cols + 2)), 5.0f);
  std::vector<float> scratch(static_cast<size_t>(transposed_scratch_bytes(n, rows, cols) / 4 + 16),
                             NAN);
  table.transposed_bf16({x.data(), x_stride, n, w.data(), w_stride, rows, cols, y.data(), cols + 2,
                         Problem::aligned(scratch.data())});
  return y;
}

TEST_P(AttendEquality, TransposedProducts) {
  for (const int64_t n : {1, 5, 16, 17, 33, 64}) {
    for (const int64_t rows : {32, 40, 256}) {
      for (const int64_t cols : {16, 20, 64, 100}) {
        for (const float scale : {1.0f, 1e-19f})  // products that are subnormal
          ASSERT_TRUE(same_bits(transposed(ref_table(), n, rows, cols, scale),
                                transposed(*table, n, rows, cols, scale)))
              << n << " of " << rows << " x " << cols << " times " << scale;
      }
    }
  }
}

TEST_P(AttendEquality, EightBitEntries) {
  std::mt19937 random(8);
  for (const int64_t n : {32, 96, 576}) {
    const RandomMatrix blocks(quant::Type::Q8_0, 1, n, random);
    std::vector<uint16_t> expected(static_cast<size_t>(n)), y = expected;
    ref_table().q8_0_to_bf16(blocks.matrix.data, n, expected.data());
    table->q8_0_to_bf16(blocks.matrix.data, n, y.data());
    ASSERT_EQ(expected, y);
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, AttendEquality,
                         testing::Values("avx2", "avx512", "amx", "portable_avx512",
                                         "portable_amx"),
                         [](const auto& p) { return std::string(p.param); });

// Softmax attention of one query in double.
std::vector<double> plain(const Problem& p, int64_t query) {
  const int64_t seen = std::min(p.s.end, p.s.start + 1 + query / p.s.per_position);
  std::vector<double> weights, out(static_cast<size_t>(p.s.value_width));
  for (int64_t j = 0; j < seen; ++j) {
    double score = 0.0;
    for (int64_t k = 0; k < p.s.width; ++k)
      score += static_cast<double>(bf16_to_float(
                   float_to_bf16(p.q[static_cast<size_t>(query * (p.s.width + 5) + k)]))) *
               bf16_to_float(p.keys[static_cast<size_t>(j * p.key_stride + k)]);
    weights.push_back(score * 0.21);
  }
  const double max = *std::max_element(weights.begin(), weights.end());
  double sum = 0.0;
  for (double& w : weights) sum += w = std::exp2(w - max);
  for (int64_t j = 0; j < seen; ++j)
    for (int64_t c = 0; c < p.s.value_width; ++c)
      out[static_cast<size_t>(c)] +=
          weights[static_cast<size_t>(j)] / sum *
          bf16_to_float(p.values[static_cast<size_t>(j * p.value_stride + c)]);
  return out;
}

TEST(AttendReference, IsSoftmaxAttention) {
  std::mt19937 random(4);
  for (const Shape& shape : shapes()) {
    Problem problem(shape, 1.0f, random);
    problem.run(ref_table());
    for (int64_t i = 0; i < shape.queries; ++i) {
      const std::vector<double> expected = plain(problem, i);
      for (int64_t c = 0; c < shape.value_width; ++c) {
        const float o = problem.o[static_cast<size_t>(i * (shape.value_width + 1) + c)];
        // Weights are rounded to 8 bits, values are of unit size.
        EXPECT_NEAR(o / problem.state[static_cast<size_t>(2 * i + 1)],
                    expected[static_cast<size_t>(c)], 0.006)
            << name(shape) << " query " << i;
      }
    }
  }
}

// What lies behind a page's positions, or is not seen, does not enter, whatever it is.
TEST(AttendReference, LeavesOutWhatIsNotSeen) {
  std::mt19937 random(5);
  Problem problem({20, 1, 64, 64, 50, 70}, 1.0f, random);
  problem.run(ref_table());
  const Problem expected = problem;
  for (int64_t j = 55; j < 128; ++j)
    for (int64_t c = 0; c < 64; ++c)
      problem.values[static_cast<size_t>(j * problem.value_stride + c)] = 0x7f00;
  problem.run(ref_table());
  EXPECT_EQ(std::memcmp(expected.o.data(), problem.o.data(), 5 * 65 * 4), 0);
  EXPECT_NE(std::memcmp(expected.o.data() + 5 * 65, problem.o.data() + 5 * 65, 65 * 4), 0);
}

}  // namespace
}  // namespace hadal::kernels
