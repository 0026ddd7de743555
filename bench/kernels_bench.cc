// Speed of products by weight format: decode (few activations) and batch (some), weights from
// memory, in GB/s of weights; prefill (many, weights from cache) in GOP/s (a multiplication and an
// addition are two).
//   build/bench/bench/kernels_bench --benchmark_filter='decode/avx2/Q4_K'
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "kernels/kernels.h"
#include "unit/kernels/random_matrix.h"

namespace hadal::kernels {
namespace {

// As many bytes as no cache of a core holds.
constexpr int64_t decode_bytes = 96 << 20;

void run(benchmark::State& state, const Table& table, quant::Type type, Activation form,
         int64_t rows, int64_t cols, int64_t n) {
  std::mt19937 random(1);
  const int64_t period = std::min<int64_t>(rows, 256);  // random rows, then copies of them
  RandomMatrix part(type, period, cols, random);
  const Matrix& w0 = part.matrix;
  std::vector<uint8_t> bytes(static_cast<size_t>(w0.row_bytes * rows) + 64);
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(bytes.data() + r * w0.row_bytes,
                static_cast<const uint8_t*>(w0.data) + r % period * w0.row_bytes,
                static_cast<size_t>(w0.row_bytes));
  }
  Matrix w = w0;
  w.data = bytes.data();
  w.rows = rows;
  std::vector<float> scales(static_cast<size_t>((rows + 127) / 128 * ((cols + 127) / 128)), 0.01f);
  if (type == quant::Type::FP8_E4M3) w.scales = scales.data();
  const Activations x(table, form, random_floats(n * cols, random), n, cols);
  std::vector<float> y(static_cast<size_t>(n * rows));
  const Packed packed(table, type, form, x.data, x.stride, n, cols);
  const auto matmul =
      packed.data == nullptr ? table.products[static_cast<int>(form)] : table.matmul_packed;
  const void* input = packed.data == nullptr ? x.data : packed.data;
  // Rows of one call, as the model deals them out.
  const int64_t unit = packed.data == nullptr ? 64 : 256;
  for (auto _ : state) {
    for (int64_t r = 0; r < rows; r += unit) {
      const int64_t end = std::min(rows, r + unit);
      matmul({&w, r, end, form, input, x.stride, n, y.data() + r, rows});
    }
    benchmark::ClobberMemory();
  }
  const auto count = static_cast<double>(state.iterations());
  const double weights = static_cast<double>(rows) * static_cast<double>(cols);
  state.counters["GB/s"] = benchmark::Counter(
      count * static_cast<double>(rows * w.row_bytes) * 1e-9, benchmark::Counter::kIsRate);
  state.counters["GOP/s"] = benchmark::Counter(count * 2e-9 * weights * static_cast<double>(n),
                                               benchmark::Counter::kIsRate);
}

void add(const Table& table, quant::Type type, Activation form, const char* suffix) {
  const int64_t cols = 2048;
  const std::string name = std::string(table.name) + "/" + quant::type_info(type).name + suffix;
  const auto row_bytes = static_cast<int64_t>(quant::row_bytes(type, cols));
  for (const int64_t n : {1, 2, 4}) {
    benchmark::RegisterBenchmark(
        ("decode/" + name + "/" + std::to_string(n)).c_str(), [=, &table](benchmark::State& state) {
          run(state, table, type, form, decode_bytes / row_bytes / 8 * 8, cols, n);
        });
  }
  for (const int64_t n : {8, 16}) {
    benchmark::RegisterBenchmark(
        ("batch/" + name + "/" + std::to_string(n)).c_str(), [=, &table](benchmark::State& state) {
          run(state, table, type, form, decode_bytes / row_bytes / 16 * 16, cols, n);
        });
  }
  for (const int64_t n : {8, 16, 48, 128, 512}) {
    benchmark::RegisterBenchmark(
        ("prefill/" + name + "/" + std::to_string(n)).c_str(),
        [=, &table](benchmark::State& state) { run(state, table, type, form, 512, cols, n); });
  }
}

// The machine's own limit: reading memory with plain loads.
void read_memory(benchmark::State& state) {
  std::vector<uint64_t> data(decode_bytes / 8, 1);
  uint64_t sum = 0;
  for (auto _ : state) {
    uint64_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (size_t i = 0; i < data.size(); i += 4) {
      s0 += data[i];
      s1 += data[i + 1];
      s2 += data[i + 2];
      s3 += data[i + 3];
    }
    sum += s0 + s1 + s2 + s3;
  }
  benchmark::DoNotOptimize(sum);
  state.counters["GB/s"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * decode_bytes * 1e-9, benchmark::Counter::kIsRate);
}

}  // namespace
}  // namespace hadal::kernels

int main(int argc, char** argv) {
  using namespace hadal;
  using kernels::Activation;
  benchmark::RegisterBenchmark("memory/read", kernels::read_memory);
  const kernels::Table& table = kernels::active();
  for (const quant::Type type : kernels::all_types) {
    const Activation native = kernels::native_activation(type);
    kernels::add(table, type, native, "");
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
