#include <gtest/gtest.h>

#include "own.h"
#include "peer.h"
#include "process.h"
#include "report.h"
#include "statistics.h"
#include "work.h"

namespace hadal::bench {
namespace {

using nlohmann::json;

TEST(Table, EveryRowHasAFile) {
  for (const Work& work : all_work()) {
    EXPECT_EQ(model_file(work.model).name, work.model);
    EXPECT_EQ(find_work(work.id), &work) << "two rows named " << work.id;
  }
  EXPECT_EQ(find_work("something else"), nullptr);
}

TEST(Table, MedianOfOddAndEvenCounts) {
  EXPECT_EQ(median({}), 0.0);
  EXPECT_EQ(median({3.0, 1.0, 2.0}), 2.0);
  EXPECT_EQ(median({4.0, 1.0, 2.0, 3.0}), 2.5);
}

TEST(Table, ReadsPeers) {
  const auto peer = parse_peer("ik@a,b=/x/llama-bench -fa 1 -m {model}-old.gguf");
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->name, "ik");
  EXPECT_EQ(peer->models, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(peer->command,
            (std::vector<std::string>{"/x/llama-bench", "-fa", "1", "-m", "{model}-old.gguf"}));
  EXPECT_FALSE(parse_peer("/x/llama-bench"));
  EXPECT_FALSE(parse_peer("name="));
  EXPECT_FALSE(parse_peer("=path"));
}

TEST(Table, ReadsSamplesAmongLogLines) {
  EXPECT_EQ(parse_samples("[\nWARNING: x\n {\"n_gen\": 4, \"samples_ts\": [ 1.5, 2.5 ]}\n]\nend\n"),
            (std::vector<double>{1.5, 2.5}));
  EXPECT_TRUE(parse_samples("").empty());
  EXPECT_TRUE(parse_samples("[\n]").empty());
  EXPECT_TRUE(parse_samples("[\n{\"samples_ts\": 3}]").empty());
  EXPECT_TRUE(parse_samples("[\n{\"samples_ts\": [1.0, }").empty());
}

TEST(Table, MeasuresPeersByTheirProgram) {
  const Peer peer{"p", {}, {"sh", "-c", R"(printf '[\n{"samples_ts": [7.0]}\n]\n')"}};
  const Work& decode = *find_work("v3mini-q4km decode");
  EXPECT_EQ(measure_peer(peer, decode, "/nowhere", 1, 1).samples, std::vector<double>{7.0});
  const Peer failing{"p", {}, {"sh", "-c", "echo broken >&2; exit 3"}};
  const PeerSamples none = measure_peer(failing, decode, "/nowhere", 1, 1);
  EXPECT_TRUE(none.samples.empty());
  EXPECT_NE(none.error.find("broken"), std::string::npos);
  const Peer other{"p", {"v2lite-q4km"}, {"sh"}};
  EXPECT_FALSE(measure_peer(other, decode, "/nowhere", 1, 1).error.empty());
}

json machine() {
  const auto peak = [](const char* product, double rate) {
    return json{{"name", product}, {"product", product}, {"operations_per_second", rate}};
  };
  return {{"cpu", "a processor"},
          {"threads", 2},
          {"read_bytes_per_second", 30e9},
          {"peaks", {peak("fp32", 0.4e12), peak("int8", 1.8e12)}}};
}

TEST(Table, CeilingsAreTheNearerLimit) {
  const json decode = {{"bytes_per_token", 1.5e9}, {"operations_per_token", 5e9}};
  EXPECT_DOUBLE_EQ(ceiling_of(Kind::decode, decode, machine(), true).tokens_per_second, 20.0);
  EXPECT_EQ(ceiling_of(Kind::decode, decode, machine(), true).limit, "read 30.0 GB/s");
  const json prefill = {{"bytes_per_token", 2e7}, {"operations_per_token", 4e9}};
  EXPECT_DOUBLE_EQ(ceiling_of(Kind::prefill, prefill, machine(), true).tokens_per_second, 450.0);
  EXPECT_DOUBLE_EQ(ceiling_of(Kind::prefill, prefill, machine(), false).tokens_per_second, 100.0);
  // A prompt's share is of arithmetic, also where a short one waits for its weights.
  const json brief = {{"bytes_per_token", 1e9}, {"operations_per_token", 4e9}};
  EXPECT_DOUBLE_EQ(ceiling_of(Kind::prefill, brief, machine(), true).tokens_per_second, 450.0);
  json with_tiles = machine();
  with_tiles["peaks"].push_back(
      {{"name", "tiles"}, {"product", "bf16"}, {"operations_per_second", 6e12}});
  EXPECT_DOUBLE_EQ(ceiling_of(Kind::prefill, prefill, with_tiles, true).tokens_per_second, 1500.0);
}

TEST(Table, ShowsSharesAndRatios) {
  const json results = {
      {"machine", machine()},
      {"kernels", "avx512"},
      {"rows",
       {{"v3mini-q4km decode",
         {{"commit", "abc"},
          {"hadal", {{"samples", {99.0, 100.0, 120.0}}, {"ceiling", 125.0}, {"limit", "read"}}},
          {"peers", {{"one", {{"samples", {50.0}}}}, {"two", {{"samples", {80.0, 80.0}}}}}}}},
        {"v2lite-q4km first token",
         {{"hadal", {{"samples", {1.0}}}}, {"peers", {{"one", {{"samples", {3.0}}}}}}}}}}};
  const std::string table = markdown_table(results);
  EXPECT_NE(table.find("| v3mini-q4km decode | 80% | 100 [99.00 .. 120] n3 | 80% | 125 t/s: read | "
                       "50.00 | 80.00 [80.00 .. 80.00] n2 | 1.25x | abc |"),
            std::string::npos)
      << table;
  EXPECT_NE(table.find("| 1.00 s | - |  | 3.00 s | - | 3.00x |"), std::string::npos) << table;
  EXPECT_NE(text_table(results).find("1.25x"), std::string::npos);
}

TEST(Process, GivesOutputAndCode) {
  const Finished done = run_process({"sh", "-c", "echo out; echo err >&2; exit 5"});
  EXPECT_EQ(done.code, 5);
  EXPECT_EQ(done.out, "out\n");
  EXPECT_EQ(done.err, "err\n");
  EXPECT_EQ(run_process({"/no/such/program"}).code, 127);
}

}  // namespace
}  // namespace hadal::bench
