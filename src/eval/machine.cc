#include "eval/machine.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>

#include <sys/mman.h>

#include "base/error.h"
#include "kernels/peak.h"

namespace hadal::eval {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Keeps the compiler from dropping loops whose result nobody reads.
std::atomic<uint64_t> sink{0};

// "MemAvailable:   123 kB" of a file in /proc; 0 if the line is missing.
int64_t proc_bytes(const char* path, std::string_view key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with(key)) continue;
    std::istringstream rest(line.substr(key.size()));
    int64_t kilobytes = 0;
    rest >> kilobytes;
    return kilobytes * 1024;
  }
  return 0;
}

// Four streams at once with prefetch reach about a tenth more than one (baseline: 31.0 against 28.7
// GB/s); weights are read that way too, several rows at a time.
uint64_t read_range(const uint64_t* data, int64_t words) {
  constexpr int streams = 4;
  constexpr int64_t ahead = 128;  // words: 1 KiB
  const int64_t part = words / streams / 8 * 8;
  uint64_t sum[8] = {};
  for (int64_t i = 0; i < part; i += 8) {
    for (int s = 0; s < streams; ++s) {
      const uint64_t* p = data + s * part + i;
      __builtin_prefetch(p + ahead);
      for (int j = 0; j < 8; ++j) sum[j] += p[j];
    }
  }
  return sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
}

class Buffer {
 public:
  explicit Buffer(int64_t bytes) : bytes_(bytes) {
    void* address = ::mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) fail(ErrorKind::limit, "cannot get {} bytes of memory", bytes);
    ::madvise(address, static_cast<size_t>(bytes), MADV_HUGEPAGE);
    data_ = static_cast<uint64_t*>(address);
  }
  ~Buffer() { ::munmap(data_, static_cast<size_t>(bytes_)); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  uint64_t* data() { return data_; }

 private:
  uint64_t* data_;
  int64_t bytes_;
};

double read_rate(ThreadPool& pool, const uint64_t* data, int64_t words, int passes) {
  constexpr int64_t chunk = int64_t{1} << 17;  // words: 1 MiB
  double best = 0.0;
  for (int pass = 0; pass < passes; ++pass) {
    const auto start = Clock::now();
    pool.parallel_for(words / chunk, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) sink += read_range(data + i * chunk, chunk);
    });
    const int64_t bytes = words / chunk * chunk * 8;
    best = std::max(best, static_cast<double>(bytes) / seconds_since(start));
  }
  return best;
}

double peak_rate(ThreadPool& pool, const kernels::PeakLoop& loop) {
  constexpr int64_t rounds = 1 << 20;
  constexpr int passes = 5;
  double best = 0.0;
  for (int pass = 0; pass < passes; ++pass) {
    const auto start = Clock::now();
    pool.parallel_for(pool.threads(), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) sink += loop.run(rounds);
    });
    const double operations =
        static_cast<double>(rounds) * loop.operations_per_round * pool.threads();
    best = std::max(best, operations / seconds_since(start));
  }
  return best;
}

}  // namespace

const char* rate_unit(kernels::Product product) {
  return product == kernels::Product::int8 ? "OP/s" : "FLOP/s";
}

const char* product_name(kernels::Product product) {
  switch (product) {
    case kernels::Product::fp32:
      return "fp32";
    case kernels::Product::bf16:
      return "bf16";
    case kernels::Product::int8:
      return "int8";
  }
  return "";
}

double MachineLimits::best(kernels::Product product) const {
  double rate = 0.0;
  for (const Peak& peak : peaks)
    if (peak.product == product) rate = std::max(rate, peak.operations_per_second);
  return rate;
}

void MachineLimits::raise_to(const MachineLimits& other) {
  const auto raise = [](double& mine, double theirs) { mine = std::max(mine, theirs); };
  raise(read_bytes_per_second, other.read_bytes_per_second);
  raise(read_bytes_per_second_one, other.read_bytes_per_second_one);
  for (size_t i = 0; i < peaks.size() && i < other.peaks.size(); ++i)
    raise(peaks[i].operations_per_second, other.peaks[i].operations_per_second);
}

MachineLimits measure_machine(ThreadPool& pool, int64_t buffer_bytes) {
  constexpr int64_t smallest = int64_t{64} << 20;
  constexpr int passes = 5;
  const int64_t available = proc_bytes("/proc/meminfo", "MemAvailable:");
  if (available > 0) buffer_bytes = std::min(buffer_bytes, available / 4);
  buffer_bytes = std::max(buffer_bytes, smallest);
  MachineLimits limits;
  limits.threads = pool.threads();
  {
    Buffer buffer(buffer_bytes);
    const int64_t words = buffer_bytes / 8;
    std::fill(buffer.data(), buffer.data() + words, uint64_t{1});
    limits.read_bytes_per_second = read_rate(pool, buffer.data(), words, passes);
    ThreadPool one(1);
    limits.read_bytes_per_second_one = read_rate(one, buffer.data(), words, 2);
  }
  for (const kernels::PeakLoop& loop : kernels::peak_loops())
    limits.peaks.push_back({loop.name, loop.instruction_set, loop.product, peak_rate(pool, loop)});
  return limits;
}

MachineFacts machine_facts() {
  MachineFacts facts;
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  std::string flags;
  while (std::getline(file, line)) {
    const size_t colon = line.find(": ");
    if (colon == std::string::npos) continue;
    if (line.starts_with("model name") && facts.cpu.empty()) facts.cpu = line.substr(colon + 2);
    if (line.starts_with("flags") && flags.empty()) flags = line.substr(colon + 1) + " ";
  }
  for (const char* feature : {"sse4_2", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni",
                              "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16"})
    if (flags.find(fmt::format(" {} ", feature)) != std::string::npos)
      facts.features.emplace_back(feature);
  if (::getloadavg(&facts.load, 1) != 1) facts.load = 0.0;
  facts.memory_total = proc_bytes("/proc/meminfo", "MemTotal:");
  facts.memory_available = proc_bytes("/proc/meminfo", "MemAvailable:");
  return facts;
}

ProcessMemory process_memory() {
  return {proc_bytes("/proc/self/status", "VmHWM:"), proc_bytes("/proc/self/status", "RssAnon:")};
}

}  // namespace hadal::eval
