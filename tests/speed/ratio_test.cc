// Kernels against this machine's own plain loops, within one run: reading memory for generation,
// nothing but multiplying for prompts. A kernel whose ratio falls by more than 15% has become
// slower; an absolute time would only say that another machine, or a neighbour, was at work.
//
// Kernel and plain loop run by turns, and the best of each counts: a neighbour can only make a turn
// slower. All in one thread, as a second core may not be free.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "kernels/peak.h"
#include "unit/kernels/random_matrix.h"

namespace hadal::kernels {
namespace {

using quant::Type;

constexpr int64_t cols = 2048;

// Ratios measured on a machine that has all of these instructions (Sapphire Rapids kind).
struct Reference {
  const char* table;
  Type type;
  double generation;  // bytes of weights per second / bytes read per second
  double prompts;     // operations per second / those of the table's own peak loop
};
constexpr Reference references[] = {
    {"avx2", Type::Q4_K, 0.58, 1.72},     {"avx2", Type::Q8_0, 0.76, 0.84},
    {"avx2", Type::Q5_0, 0.56, 1.54},     {"avx2", Type::BF16, 0.52, 0.75},
    {"avx2", Type::FP8_E4M3, 0.37, 0.62}, {"avx512", Type::Q4_K, 0.93, 0.46},
    {"avx512", Type::Q8_0, 0.88, 0.46},   {"avx512", Type::Q5_0, 0.86, 0.45},
    {"avx512", Type::BF16, 0.51, 0.40},   {"avx512", Type::FP8_E4M3, 0.36, 0.32},
    {"amx", Type::Q4_K, 0.92, 0.18},      {"amx", Type::Q8_0, 0.86, 0.12},
    {"amx", Type::Q5_0, 0.85, 0.12},      {"amx", Type::BF16, 0.95, 0.25},
    {"amx", Type::FP8_E4M3, 0.76, 0.26},
};

// The share of a reference that passes. Machines of another kind have other caches and memory:
// there only a kernel that has become far slower shows.
double allowed() {
  return table_by_name("amx") != nullptr ? 0.85 : 0.5;
}

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// work's speed divided by plain's, each at its best of `turns`.
class Race {
 public:
  Race(std::function<void()> work, std::function<void()> plain)
      : work_(std::move(work)), plain_(std::move(plain)) {}
  // The ratio of speeds where both do as much per call.
  double run(int turns) {
    for (int i = 0; i < turns; ++i) {
      work_best_ = std::min(work_best_, seconds(work_));
      plain_best_ = std::min(plain_best_, seconds(plain_));
    }
    return plain_best_ / work_best_;
  }

 private:
  std::function<void()> work_, plain_;
  double work_best_ = 1e9, plain_best_ = 1e9;
};

uint64_t sink = 0;

// Four streams with prefetch: the fastest way that plain code reads memory here.
uint64_t read_all(const std::vector<uint8_t>& bytes) {
  constexpr size_t streams = 4, ahead = 1024;
  const size_t part = bytes.size() / streams / 64 * 64;
  uint64_t sum[8] = {};
  for (size_t i = 0; i < part; i += 64) {
    for (size_t s = 0; s < streams; ++s) {
      const uint8_t* p = bytes.data() + s * part + i;
      __builtin_prefetch(p + ahead);
      for (size_t j = 0; j < 8; ++j) {
        uint64_t word;
        std::memcpy(&word, p + 8 * j, 8);
        sum[j] += word;
      }
    }
  }
  return sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
}

// A matrix of `rows`, copies of 256 random ones.
struct Weights {
  std::vector<uint8_t> bytes;
  std::vector<float> scales;
  Matrix matrix;

  Weights(Type type, int64_t rows) {
    std::mt19937 random(1);
    const RandomMatrix part(type, 256, cols, random);
    matrix = part.matrix;
    matrix.rows = rows;
    bytes.resize(static_cast<size_t>(matrix.row_bytes * rows));
    for (int64_t r = 0; r < rows; ++r) {
      std::memcpy(bytes.data() + r * matrix.row_bytes,
                  static_cast<const uint8_t*>(part.matrix.data) + r % 256 * matrix.row_bytes,
                  static_cast<size_t>(matrix.row_bytes));
    }
    matrix.data = bytes.data();
    if (type != Type::FP8_E4M3) return;
    scales.assign(static_cast<size_t>((rows + 127) / 128 * matrix.scale_stride), 0.01f);
    matrix.scales = scales.data();
  }
};

// A product as a step of a model calls it.
class SumOfProducts {
 public:
  SumOfProducts(const Table& table, const Weights& weights, int64_t n)
      : table_(table),
        weights_(weights),
        form_(native_activation(weights.matrix.type)),
        x_(activations(table, form_, n)),
        n_(n),
        y_(static_cast<size_t>(n * weights.matrix.rows)) {
    const int64_t bytes = table.packed_bytes(weights.matrix.type, form_, cols, n);
    if (bytes == 0) return;
    packed_.resize(static_cast<size_t>(bytes) + 64);
    table.pack(form_, x_.data, x_.stride, n, cols, aligned());
  }

  void run() {
    const int64_t rows = weights_.matrix.rows;
    Matmul call = {&weights_.matrix, 0, rows, form_, x_.data, x_.stride, n_, y_.data(), rows};
    if (packed_.empty()) {
      table_.matmul(call);
    } else {
      call.x = aligned();
      table_.matmul_packed(call);
    }
  }
  double operations() const { return 2.0 * static_cast<double>(weights_.matrix.rows * cols * n_); }

 private:
  static Activations activations(const Table& table, Activation form, int64_t n) {
    std::mt19937 random(2);
    return {table, form, random_floats(n * cols, random), n, cols};
  }
  uint8_t* aligned() {
    return packed_.data() + (64 - reinterpret_cast<uintptr_t>(packed_.data()) % 64) % 64;
  }

  const Table& table_;
  const Weights& weights_;
  Activation form_;
  Activations x_;
  int64_t n_;
  std::vector<float> y_;
  std::vector<uint8_t> packed_;
};

// The loop of nothing but the products that the table has for such weights.
const PeakLoop* peak_loop_of(const Table& table, Type type) {
  const PeakLoop* found = nullptr;
  const bool integer =
      native_activation(type) == Activation::q8_32 || native_activation(type) == Activation::q8_256;
  for (const PeakLoop& loop : peak_loops()) {
    if (std::string(loop.instruction_set) != table.name) continue;
    if ((loop.product == kernels::Product::int8) == integer) found = &loop;
  }
  return found;
}

class Speed : public ::testing::TestWithParam<Reference> {
 protected:
  void SetUp() override {
    table_ = table_by_name(GetParam().table);
    if (table_ == nullptr) GTEST_SKIP() << "no " << GetParam().table << " here";
  }

  // Runs the race until it passes, or so often that no neighbour is to blame.
  static void expect(Race& race, const char* what, double reference) {
    double ratio = 0.0;
    for (int round = 0; round < 8 && ratio < reference * allowed(); ++round) ratio = race.run(8);
    std::printf("  %s %.3f, reference %.3f\n", what, ratio, reference);
    EXPECT_GE(ratio, reference * allowed()) << what << " has become slower";
  }

  const Table* table_ = nullptr;
};

TEST_P(Speed, OfGeneration) {
  constexpr int64_t bytes = int64_t{128} << 20;  // more than a core's share of any cache
  const auto row_bytes = static_cast<int64_t>(quant::row_bytes(GetParam().type, cols));
  const Weights weights(GetParam().type, bytes / row_bytes / 64 * 64);
  SumOfProducts product(*table_, weights, 1);
  Race race([&] { product.run(); }, [&] { sink += read_all(weights.bytes); });
  expect(race, "of memory's speed:", GetParam().generation);
}

TEST_P(Speed, OfPrompts) {
  const Weights weights(GetParam().type, 512);
  SumOfProducts product(*table_, weights, 128);
  const PeakLoop* loop = peak_loop_of(*table_, GetParam().type);
  ASSERT_NE(loop, nullptr);
  constexpr int calls = 8;
  const auto rounds =
      static_cast<int64_t>(calls * product.operations() / loop->operations_per_round);
  Race race(
      [&] {
        for (int i = 0; i < calls; ++i) product.run();
      },
      [&] { sink += loop->run(rounds); });
  expect(race, "of the peak loop's speed:", GetParam().prompts);
}

INSTANTIATE_TEST_SUITE_P(Kernels, Speed, ::testing::ValuesIn(references),
                         [](const ::testing::TestParamInfo<Reference>& one) {
                           return std::string(one.param.table) + "_" +
                                  quant::type_info(one.param.type).name;
                         });

}  // namespace
}  // namespace hadal::kernels
