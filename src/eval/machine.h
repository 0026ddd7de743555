// The machine's own limits, measured: what any engine could reach here. Speeds are stated as shares
// of these, taken in the same run, since machines of one kind differ from day to day.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/peak.h"

namespace hadal::eval {

// "FLOP/s", "OP/s" for integers; "fp32", "bf16", "int8".
const char* rate_unit(kernels::Product product);
const char* product_name(kernels::Product product);

struct Peak {
  std::string name;             // "AVX2 FP32 FMA"
  std::string instruction_set;  // "avx2"
  kernels::Product product = kernels::Product::fp32;
  double operations_per_second = 0.0;  // all threads together
};

struct MachineLimits {
  int threads = 1;
  double read_bytes_per_second = 0.0;      // sequential reads from memory, all threads together
  double read_bytes_per_second_one = 0.0;  // one thread
  std::vector<Peak> peaks;

  // The best rate of any instruction set; 0 if none was measured.
  double best(kernels::Product product) const;
  // Takes what is higher in limits of the same machine measured at another time: a neighbour may
  // have been busy at one of them.
  void raise_to(const MachineLimits& other);
};

// Takes about two seconds and `buffer_bytes` of memory (less if little is free). The best of
// several passes: a busy neighbour can only make a pass slower.
MachineLimits measure_machine(ThreadPool& pool, int64_t buffer_bytes = int64_t{1} << 30);

struct MachineFacts {
  std::string cpu;                                 // "Intel(R) Xeon(R) ..."
  std::vector<std::string> features;               // of those that Hadal's kernels can use
  int64_t memory_total = 0, memory_available = 0;  // bytes
  double load = 0.0;  // programs that wanted a processor, mean of the last minute
};
MachineFacts machine_facts();

struct ProcessMemory {
  int64_t peak_resident = 0;       // bytes, mapped files included
  int64_t anonymous_resident = 0;  // bytes now, without mapped files
};
ProcessMemory process_memory();

}  // namespace hadal::eval
