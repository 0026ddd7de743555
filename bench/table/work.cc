#include "work.h"

#include <cstdlib>

namespace hadal::bench {
namespace {

constexpr std::string_view v2lite = "v2lite-q4km.gguf", v2lite8 = "v2lite-q8_0.gguf",
                           mini = "v3mini-q4km.gguf", mini16 = "v3mini-bf16.gguf",
                           mini8 = "v3mini-fp8";

constexpr ModelFile files[] = {
    {v2lite, "deepseek-v2-lite", "q4_k_m", true},
    {v2lite8, "deepseek-v2-lite", "q8_0", true},
    {mini, "v3-mini", "q4_k_m", true},
    {mini16, "v3-mini", "bf16", false},
    {mini8, "v3-mini", "fp8", false},
};

constexpr Work work[] = {
    {"v2lite-q4km decode", v2lite, Kind::decode, 48, 0, 1, "85%, 16.4 t/s", "85%, 1.2x"},
    {"v2lite-q4km prefill 512", v2lite, Kind::prefill, 512, 0, 1, "35%, 450 t/s", "60%, 1.5x"},
    {"v2lite-q4km prefill 2048", v2lite, Kind::prefill, 2048, 0, 1, "50%, 600 t/s", "60%, 1.5x"},
    {"v2lite-q8_0 decode", v2lite8, Kind::decode, 32, 0, 1, "85%, 10.1 t/s", "88%"},
    {"v2lite-q8_0 prefill 512", v2lite8, Kind::prefill, 512, 0, 1, "500 t/s", "1.5x"},
    {"v3mini-bf16 decode", mini16, Kind::decode, 64, 0, 1, "90%, 45 t/s", "90%"},
    {"v3mini-bf16 prefill 512", mini16, Kind::prefill, 512, 0, 1, "4000 t/s", "60%"},
    {"v3mini-q4km decode", mini, Kind::decode, 128, 0, 1, "80%, 118 t/s", "80%"},
    {"v3mini-q4km prefill 512", mini, Kind::prefill, 512, 0, 1, "3000 t/s", "1.5x"},
    {"v3mini-fp8 decode", mini8, Kind::decode, 64, 0, 1, "80%", "75%"},
    {"v2lite-q4km decode at 4096", v2lite, Kind::decode, 32, 4096, 1, "85%", "85%"},
    {"v2lite-q4km decode at 32768", v2lite, Kind::decode, 16, 32768, 1, "85%", "85%"},
    {"v2lite-q4km decode, 8 together", v2lite, Kind::decode, 16, 0, 8, "85%", "1.5x, 3x one"},
    {"v2lite-q4km decode, 16 together", v2lite, Kind::decode, 16, 0, 16, "85%", "1.5x, 4x one"},
    {"v3mini-q4km prefill 4096", mini, Kind::prefill, 4096, 0, 1, "2000 t/s", "2x"},
    {"v2lite-q4km first token", v2lite, Kind::first_token, 16, 0, 1, "1.5 s + prompt",
     "1.5 s + prompt"},
    {"v2lite-q4km memory at 4096", v2lite, Kind::memory, 4096, 0, 1, "600 MB", "600 MB"},
    {"v2lite-q4km decode, disturbed", v2lite, Kind::disturbed, 24, 0, 1, "40%", "40%"},
};

}  // namespace

std::span<const Work> all_work() {
  return work;
}

const Work* find_work(std::string_view id) {
  for (const Work& w : work)
    if (w.id == id) return &w;
  return nullptr;
}

const ModelFile& model_file(std::string_view name) {
  for (const ModelFile& file : files)
    if (file.name == name) return file;
  std::abort();  // a row of the table above without its file
}

}  // namespace hadal::bench
