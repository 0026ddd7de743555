// Several processes that train together, started by the real mpirun.
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "e2e/train_files.h"

namespace hadal::e2e {
namespace {

// Arguments are quoted, so paths and settings may hold anything but a quote.
std::string command_of(int ranks, const std::vector<std::string>& arguments,
                       const std::string& err) {
  // Root needs leave; more ranks than cores, too. Open MPI never frees all of its memory.
  std::string out =
      "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1 "
      "ASAN_OPTIONS=detect_leaks=0 exec mpirun --oversubscribe";
  out += fmt::format(" -n {} '{}'", ranks, HADAL_BINARY);
  for (const std::string& argument : arguments) out += " '" + argument + "'";
  return out + " > '" + err + ".out' 2> '" + err + "'";
}

class TrainRanksTest : public TrainTest {
 protected:
  void SetUp() override {
    TrainTest::SetUp();
    if (std::system("mpirun --version > /dev/null 2>&1") == 0) return;
    const char* wanted = getenv("HADAL_MPI");
    ASSERT_TRUE(wanted == nullptr || std::string(wanted) != "required") << "there is no mpirun";
    GTEST_SKIP() << "there is no mpirun";
  }
  // Parts of one sequence: four shards.
  std::vector<std::string> run(const std::string& out,
                               const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = arguments(out, {"--set", "data.part=1"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Outcome run_ranks(int ranks, const std::vector<std::string>& arguments) const {
    Outcome outcome;
    outcome.code = WEXITSTATUS(std::system(command_of(ranks, arguments, path("err")).c_str()));
    outcome.err = read(path("err"));
    outcome.out = read(path("err.out"));
    return outcome;
  }
  void expect_same(const std::string& one, const std::string& other) const {
    for (const char* file :
         {"model/model.safetensors", "checkpoints/step-00000012/model.safetensors",
          "checkpoints/step-00000012/optimizer.safetensors"})
      EXPECT_EQ(read(path(one + "/" + file)), read(path(other + "/" + file))) << file;
  }
  nlohmann::json last_metrics(const std::string& out) const {
    std::ifstream file(path(out + "/metrics.jsonl"));
    nlohmann::json last;
    int steps = 0;
    for (std::string line; std::getline(file, line); ++steps) last = nlohmann::json::parse(line);
    EXPECT_EQ(steps, 12);
    for (const char* key : {"tokens_per_second", "step_seconds", "seconds"}) last.erase(key);
    return last;
  }
};

TEST_F(TrainRanksTest, OneTwoAndFourGiveTheSameBits) {
  ASSERT_EQ(run_program(run("one")).code, 0);
  for (const int ranks : {2, 4}) {
    const std::string out = fmt::format("of-{}", ranks);
    const Outcome outcome = run_ranks(ranks, run(out));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    expect_same("one", out);
    EXPECT_EQ(last_metrics("one"), last_metrics(out));
    EXPECT_EQ(outcome.out.find("is the model"), outcome.out.rfind("is the model"));  // told once
  }
  const Outcome three = run_ranks(3, run("of-3"));
  EXPECT_NE(three.code, 0);
  EXPECT_NE(three.err.find("3 ranks cannot share 4 shards"), std::string::npos) << three.err;
}

// The process of a rank, some time after it began to write checkpoints; -1 if there is none.
pid_t rank_process(const std::string& out) {
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::error_code ignored;
    if (fs::read_symlink(entry.path() / "exe", ignored) != HADAL_BINARY) continue;
    if (read(entry.path() / "cmdline").find("run.out=" + out) != std::string::npos)
      return std::stoi(entry.path().filename().string());
  }
  return -1;
}

TEST_F(TrainRanksTest, OneThatIsKilledEndsAllAndAnotherNumberGoesOn) {
  ASSERT_EQ(run_program(run("one")).code, 0);
  const std::string out = path("cut");
  const std::string command = command_of(4, run("cut"), path("err"));
  const pid_t child = fork();
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  for (int i = 0; i < 3000 && !fs::exists(out + "/checkpoints/step-00000002"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const pid_t rank = rank_process(out);
  ASSERT_GT(rank, 0) << read(path("err"));
  kill(rank, SIGKILL);
  EXPECT_NE(wait_code(child), 0);
  EXPECT_NE(read(path("err")).find("signal 9"), std::string::npos) << read(path("err"));
  for (int i = 0; i < 400 && rank_process(out) >= 0; ++i)  // nobody is left
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(rank_process(out), -1);
  const Outcome outcome = run_ranks(2, run("cut", {"--resume"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  expect_same("one", "cut");
}

TEST_F(TrainRanksTest, AnErrorOfOneIsToldAndEndsAll) {
  const std::string sources = R"(data.sources=["nowhere.tokens","b.tokens"])";
  const Outcome outcome = run_ranks(2, run("bad", {"--set", sources}));
  EXPECT_NE(outcome.code, 0);
  EXPECT_NE(outcome.err.find("nowhere.tokens"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace hadal::e2e
