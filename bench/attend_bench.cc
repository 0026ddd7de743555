// Speed of attention on BF16, one thread: GB/s of keys and GFLOP/s (a multiplication and an
// addition are two). "memory" walks more than the last cache of most processors holds; "cached" a
// few pages.
//   build/bench/bench/attend_bench --benchmark_filter='192/128'
#include <algorithm>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "base/scalar.h"
#include "kernels/attend.h"
#include "kernels/kernels.h"

namespace hadal::kernels {
namespace {

struct Shape {
  const char* name;
  int64_t queries, per_position, width, value_width;
  bool absorbed;  // values are the keys' first columns
  int64_t bytes;  // of keys
};

constexpr int64_t memory = int64_t{1} << 30, cached = 256 << 10;
constexpr Shape shapes[] = {{"16 heads on 576/512/memory", 16, 16, 576, 512, true, memory},
                            {"16 heads on 576/512/cached", 16, 16, 576, 512, true, cached},
                            {"16 heads on 288/256/memory", 16, 16, 288, 256, true, memory},
                            {"512 queries on 192/128/cached", 512, 1, 192, 128, false, cached},
                            {"512 queries on 96/64/cached", 512, 1, 96, 64, false, cached}};

// A whole number of cache lines, as the cache and the model's buffers have them.
uint16_t* aligned(std::vector<uint16_t>& v) {
  return reinterpret_cast<uint16_t*>((reinterpret_cast<uintptr_t>(v.data()) + 63) / 64 * 64);
}

void run(benchmark::State& state, const Table& table, const Shape& s) {
  const int64_t stride = attend_padded(s.width, attend_step);
  const int64_t page = attend_page * stride;  // elements
  const int64_t pages = std::max<int64_t>(1, s.bytes / 2 / page);
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<uint16_t> keys(static_cast<size_t>(pages * page + 32), float_to_bf16(0.5f));
  for (size_t i = 0; i < keys.size(); i += 7) keys[i] = float_to_bf16(normal(random));
  std::vector<float> q(static_cast<size_t>(s.queries * s.width));
  for (float& x : q) x = normal(random);
  std::vector<uint16_t> packed(static_cast<size_t>(packed_queries_size(s.queries, s.width) + 32));
  table.pack_queries(q.data(), s.width, s.queries, s.width, aligned(packed));
  std::vector<uint16_t> scratch(
      static_cast<size_t>(attend_scratch_bytes(s.width, s.value_width) / 2 + 32));
  std::vector<float> states(static_cast<size_t>(2 * s.queries));
  std::vector<float> o(static_cast<size_t>(s.queries * s.value_width));
  int64_t i = 0;
  for (auto _ : state) {
    if (i == 0) {
      for (size_t k = 0; k < states.size(); ++k)
        states[k] = k % 2 == 0 ? -std::numeric_limits<float>::infinity() : 0.0f;
      std::fill(o.begin(), o.end(), 0.0f);
    }
    const uint16_t* at = aligned(keys) + i * page;
    i = i + 1 < pages ? i + 1 : 0;
    table.attend({.q = aligned(packed),
                  .queries = s.queries,
                  .per_position = s.per_position,
                  .seen = attend_page,
                  .keys = at,
                  .key_stride = stride,
                  .width = s.width,
                  .values = at,
                  .value_stride = s.absorbed ? stride : s.value_width,
                  .value_width = s.value_width,
                  .positions = attend_page,
                  .scale = 0.05f,
                  .state = states.data(),
                  .o = o.data(),
                  .o_stride = s.value_width,
                  .scratch = aligned(scratch),
                  .follow = aligned(keys) + i * page,
                  .follow_bytes = 2 * page});
  }
  const auto count = static_cast<double>(state.iterations());
  const auto pairs = static_cast<double>(s.queries * attend_page);
  const auto rate = [&](double each) {
    return benchmark::Counter(count * each * 1e-9, benchmark::Counter::kIsRate);
  };
  state.counters["GB/s"] = rate(2.0 * static_cast<double>(page));
  state.counters["GFLOP/s"] = rate(2.0 * pairs * static_cast<double>(s.width + s.value_width));
}

}  // namespace
}  // namespace hadal::kernels

int main(int argc, char** argv) {
  using namespace hadal::kernels;
  const Table& table = active();
  for (const Shape& shape : shapes)
    benchmark::RegisterBenchmark((std::string(table.name) + "/" + shape.name).c_str(),
                                 [&](benchmark::State& state) { run(state, table, shape); });
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
