// hadal train as its user meets it: a run that is killed goes on bit for bit.
#include <thread>

#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include "e2e/train_files.h"
#include "golden/goldens.h"

namespace hadal::e2e {
namespace {

TEST_F(TrainTest, LearnsAndLeavesAModel) {
  fs::create_directories(path("tokenizer"));
  fs::copy(tokenizer_file_, path("tokenizer/tokenizer.json"));
  const Outcome outcome = run_program(
      arguments("run", {"--json", "--set", "model.tokenizer=" + path("tokenizer"), "--set",
                        "samples.prompts=[\"Once upon\"]", "--set", "samples.tokens=8"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  std::ifstream samples(path("run/samples.jsonl"));
  int written = 0;
  for (std::string line; std::getline(samples, line); ++written)
    EXPECT_EQ(nlohmann::json::parse(line)["prompt"], "Once upon");
  EXPECT_EQ(written, 6);
  EXPECT_TRUE(fs::exists(path("run/model/tokenizer.json")));
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["steps"], 12);
  std::ifstream metrics(path("run/metrics.jsonl"));
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(metrics, line);) lines.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(lines.size(), 12u);
  EXPECT_LT(lines.back()["loss"], lines.front()["loss"]);
  EXPECT_GT(lines.back()["bits_per_byte"], 0.0);
  EXPECT_EQ(lines.front()["mtp_loss"], 0.0);
  EXPECT_GT(lines.back()["mtp_loss"], 0.0);
  for (const auto& dropped : lines.back()["dropped"]) EXPECT_EQ(dropped, 0);
  EXPECT_EQ(lines.back()["experts"].size(), 4u);
  size_t checkpoints = 0;
  for (const auto& entry : fs::directory_iterator(path("run/checkpoints"))) {
    EXPECT_TRUE(fs::exists(entry.path() / "optimizer.safetensors"));
    ++checkpoints;
  }
  EXPECT_EQ(checkpoints, 2u);
  EXPECT_EQ(run_program({"show", path("run/model")}).code, 0);
  ASSERT_EQ(run_program({"train", "report", path("run")}).code, 0);
  const std::string page = read(path("run/report.html"));
  EXPECT_NE(page.find("<polyline"), std::string::npos);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  const Outcome again = run_program(arguments("run"));
  EXPECT_EQ(again.code, 2);
  EXPECT_NE(again.err.find("--resume"), std::string::npos) << again.err;
}

// The golden model has the names, shapes and settings that transformers loads as deepseek_v3; of
// the MTP layer it also stores the embedding and the head, which are the main model's.
TEST_F(TrainTest, WritesWhatTransformersLoads) {
  ASSERT_EQ(run_program(arguments("run", {"--set", "run.steps=1"})).code, 0);
  const fs::path theirs = fs::path(config_).parent_path();
  const fs::path ours = path("run/checkpoints/step-00000001");
  const golden::Tensors expected(theirs / "model.safetensors"), got(ours / "model.safetensors");
  std::vector<std::string> names;
  for (const std::string& name : expected.names()) {
    if (name.ends_with("4.embed_tokens.weight") || name.ends_with("shared_head.head.weight"))
      continue;
    names.push_back(name);
    ASSERT_TRUE(got.has(name)) << name;
    EXPECT_EQ(got.shape(name), expected.shape(name)) << name;
  }
  EXPECT_EQ(got.names(), names);
  auto config = nlohmann::json::parse(read(config_));
  auto written = nlohmann::json::parse(read(ours / "config.json"));
  EXPECT_EQ(written["torch_dtype"], "float32");
  config["torch_dtype"] = "float32";
  config["rope_scaling"]["rope_type"] = "yarn";  // the newer name of "type": both are written
  EXPECT_EQ(written, config);
}

TEST_F(TrainTest, AnotherTokenizerThanTheDatasIsRefused) {
  fs::create_directories(path("tokenizer"));
  std::ofstream(path("tokenizer/tokenizer.json")) << read(tokenizer_file_) << "\n";
  const Outcome outcome =
      run_program(arguments("run", {"--set", "model.tokenizer=" + path("tokenizer")}));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("another tokenizer"), std::string::npos) << outcome.err;
}

// From text and generators to an examined model, by commands alone.
TEST_F(TrainTest, FromDataToAnExam) {
  std::ofstream(path("text.jsonl")) << R"({"text": "The little dog ran to the old house."})"
                                    << "\n"
                                    << R"({"text": "Once upon a time there was a sum."})"
                                    << "\n";
  const auto run = [](const std::vector<std::string>& arguments) {
    const Outcome outcome = run_program(arguments);
    EXPECT_EQ(outcome.code, 0) << arguments[0] << ": " << outcome.err;
    return outcome.out;
  };
  run({"data", "tokenizer", path("text.jsonl"), "generate:add:300", "generate:chat:100",
       "--vocabulary", "400", "--context", "256", "-o", path("vocabulary")});
  const auto packed = nlohmann::json::parse(
      run({"data", "pack", "generate:add:300", "generate:chat:100", "--tokenizer",
           path("vocabulary"), "-o", path("sums.tokens"), "--json"}));
  EXPECT_EQ(packed["documents"], 400);
  EXPECT_LT(packed["learnt"], packed["tokens"]);
  EXPECT_GT(packed["learnt"], 0);
  const std::string shown =
      run({"data", "show", path("sums.tokens"), "--tokenizer", path("vocabulary"), "-n", "2"});
  EXPECT_NE(shown.find("<think>"), std::string::npos) << shown;
  EXPECT_EQ(run({"data", "generate", "add", "-n", "3"}),
            run({"data", "generate", "add", "-n", "3"}));
  run(arguments("run", {"--set", "data.sources=['" + path("sums.tokens") + "']", "--set",
                        "model.tokenizer=" + path("vocabulary"), "--set", "data.late_weights=[1]",
                        "--set", "data.length=128", "--set", "run.steps=2"}));
  const auto exam = nlohmann::json::parse(run({"eval", path("run/model"), "-n", "2", "--json"}));
  EXPECT_GT(exam.size(), 0u);
  EXPECT_EQ(run_program({"data", "pack", path("text.jsonl"), "--tokenizer", path("vocabulary"),
                         "-o", path("sums.tokens")})
                .code,
            2);  // it exists
}

// Runs a command, which resumes, until it ends: killed at another moment each time, within a write
// as well as between steps.
void run_among_kills(const std::vector<std::string>& arguments) {
  for (int kills = 0;; ++kills) {
    ASSERT_LT(kills, 40);
    const pid_t child = fork();
    if (child == 0) {
      const int none = open("/dev/null", O_WRONLY);
      dup2(none, STDERR_FILENO);
      dup2(none, STDOUT_FILENO);
      become_program(arguments);
    }
    const double wait = 40 + 400 * random_uniform(5, 0, static_cast<uint64_t>(kills)) + 40 * kills;
    std::this_thread::sleep_for(std::chrono::milliseconds(static_cast<int>(wait)));
    kill(child, SIGKILL);
    if (wait_code(child) == 0) break;
  }
}

TEST_F(TrainTest, GoesOnBitForBitWhereverItIsKilled) {
  ASSERT_EQ(run_program(arguments("whole")).code, 0);
  run_among_kills(arguments("cut", {"--resume", "--set", "run.recompute=true"}));
  const golden::Tensors whole(path("whole/model/model.safetensors"));
  EXPECT_EQ(read(path("whole/model/model.safetensors")), read(path("cut/model/model.safetensors")));
  for (const char* file : {"model.safetensors", "optimizer.safetensors"})
    EXPECT_EQ(read(path(std::string("whole/checkpoints/step-00000012/") + file)),
              read(path(std::string("cut/checkpoints/step-00000012/") + file)))
        << file;
  std::ifstream metrics(path("cut/metrics.jsonl"));
  int step = 0;
  for (std::string line; std::getline(metrics, line);)
    EXPECT_EQ(nlohmann::json::parse(line)["step"], ++step);
  EXPECT_EQ(step, 12);
}

// A limit on files' sizes is met as a full disk is.
TEST_F(TrainTest, AFullDiskKeepsTheOlderCheckpoint) {
  ASSERT_EQ(run_program(arguments("run", {"--set", "run.steps=4"})).code, 0);
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 20, 1 << 20};
    setrlimit(RLIMIT_FSIZE, &limit);
    const int err = open(path("err").c_str(), O_WRONLY | O_CREAT, 0600);
    dup2(err, STDERR_FILENO);
    become_program(arguments("run", {"--resume"}));
  }
  EXPECT_EQ(wait_code(child), 1);
  EXPECT_NE(read(path("err")).find("cannot write"), std::string::npos) << read(path("err"));
  const std::string kept = path("run/checkpoints/step-00000004");
  EXPECT_TRUE(fs::exists(kept + "/training.json"));
  EXPECT_FALSE(fs::exists(path("run/checkpoints/.writing-step-00000006")));
  EXPECT_EQ(run_program({"show", kept}).code, 0);
}

// `hadal sft` on questions of 300s, which are not learnt, with answers of 5s.
class FineTuningTest : public TrainTest {
 protected:
  void SetUp() override {
    TrainTest::SetUp();
    data::TokenStoreWriter writer({320, 0, 7});
    for (int document = 0; document < 8; ++document) {
      std::vector<int32_t> ids = {0, 300, 300, 300, 5, 5, 5, 1};
      writer.add(ids, std::vector<uint8_t>{0, 0, 0, 0, 1, 1, 1, 1});
    }
    writer.write(path("dialogues.tokens"), true);
  }
  std::vector<std::string> sft(const std::string& model, const std::string& out,
                               const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {"sft",
                                    model,
                                    path("dialogues.tokens"),
                                    "--out",
                                    path(out),
                                    "--set",
                                    "data.length=24",
                                    "--set",
                                    "data.sequences=2",
                                    "--set",
                                    "run.measure=false"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  std::vector<double> losses(const std::string& run) const {
    std::ifstream metrics(path(run + "/metrics.jsonl"));
    std::vector<double> out;
    for (std::string line; std::getline(metrics, line);)
      out.push_back(nlohmann::json::parse(line)["loss"]);
    return out;
  }
};

TEST_F(FineTuningTest, LearnsFromACheckpoint) {
  ASSERT_EQ(run_program(arguments("run")).code, 0);
  const Outcome outcome = run_program(sft(path("run/model"), "chat", {"--steps", "80"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_LT(losses("chat").back(), 1.0);  // the answer is learnt: nothing of the question counts
  EXPECT_TRUE(fs::exists(path("chat/model/model.safetensors")));
}

TEST_F(FineTuningTest, AdaptersLearnAndGoOnBitForBit) {
  ASSERT_EQ(run_program(arguments("run")).code, 0);
  const std::vector<std::string> more = {"--lora",
                                         "--steps",
                                         "60",
                                         "--set",
                                         "optimizer.lr=0.03",
                                         "--set",
                                         "checkpoint.steps=4",
                                         "--set",
                                         "optimizer.average=0.5"};
  const Outcome outcome = run_program(sft(path("run/model"), "whole", more));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_LT(losses("whole").back(), 0.7 * losses("whole").front());
  std::vector<std::string> resuming = more;
  resuming.emplace_back("--resume");
  run_among_kills(sft(path("run/model"), "cut", resuming));
  for (const char* file : {"model/model.safetensors", "checkpoints/step-00000060/model.safetensors",
                           "checkpoints/step-00000060/optimizer.safetensors"})
    EXPECT_EQ(read(path(std::string("whole/") + file)), read(path(std::string("cut/") + file)))
        << file;
  // All that has no adapters is the base's, and what all rows meet has changed.
  const golden::Tensors base(path("run/model/model.safetensors"));
  const golden::Tensors tuned(path("whole/model/model.safetensors"));
  EXPECT_EQ(tuned.names(), base.names());
  const auto has = [](const std::string& name, const char* part) {
    return name.find(part) != std::string::npos;
  };
  for (const std::string& name : base.names()) {
    const bool same = tuned.bytes(name) == base.bytes(name);
    // The MTP layer (4) does not count: its adapters learn nothing.
    const bool stays = has(name, "layers.4.") || has(name, "norm") || has(name, "mlp.gate.") ||
                       has(name, "embed_tokens") || has(name, "lm_head");
    if (stays || !has(name, ".experts.")) {
      EXPECT_EQ(same, stays) << name;
    }
  }
  const Outcome other = run_program(sft(path("run/checkpoints/step-00000012"), "cut", resuming));
  EXPECT_EQ(other.code, 2);
  EXPECT_NE(other.err.find("another model"), std::string::npos) << other.err;
  const Outcome plan = run_program(sft(path("run/model"), "plan", {"--lora", "--plan"}));
  EXPECT_EQ(plan.code, 0) << plan.err;
  EXPECT_NE(plan.out.find("adapters of rank 16"), std::string::npos) << plan.out;
}

// Models as others publish them: FP8 in blocks, BF16, F32 with odd sizes, tied with biases, GGUF.
TEST_F(FineTuningTest, AdaptersLearnBesideAnyFormat) {
  const std::string data = std::string(HADAL_SOURCE_DIR) + "/tests/golden/data/";
  for (const char* model :
       {"models/v3-fp8", "models/v3", "models/v3-f32-odd", "models/r1-qwen2-tied",
        "gguf/v2-lite.kv-b-only.bf16.gguf", "gguf/r1-llama.mainline.bf16.gguf"}) {
    const std::string out = "out-" + fs::path(model).filename().string();
    const Outcome outcome = run_program(
        sft(data + model, out, {"--lora", "--steps", "30", "--set", "optimizer.lr=0.03"}));
    ASSERT_EQ(outcome.code, 0) << model << ": " << outcome.err;
    EXPECT_LT(losses(out).back(), 0.7 * losses(out).front()) << model;
    EXPECT_EQ(run_program({"show", path(out + "/model")}).code, 0);
  }
}

TEST_F(TrainTest, RefusesWhatItDoesNotUnderstand) {
  const std::pair<const char*, const char*> wrong[] = {
      {"data.lenght=4", "did you mean 'data.length'?"},
      {"data.length=many", "a number"},
      {"optimizer.rule=moun", "did you mean 'muon'?"},
      {"run.budget=2x", "no duration"},
      {"data.length=100000", "context"},
      {"model.start=/nowhere", "model.config"},
      {"length=3", "table.key=value"},
      {"data.weights=[1]", "data.weights"}};
  for (const auto& [change, said] : wrong) {
    const Outcome outcome = run_program(arguments("run", {"--set", change}));
    EXPECT_EQ(outcome.code, 2) << change;
    EXPECT_NE(outcome.err.find(said), std::string::npos) << outcome.err;
  }
}

TEST_F(TrainTest, StopsWhenGradientsAreNotFinite) {
  ASSERT_EQ(run_program(arguments("run")).code, 0);
  const std::string bad = path("run/checkpoints/step-00000012");
  std::fstream weights(bad + "/model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  weights.seekp(-4096, std::ios::end);
  weights << std::string(4096, '\x7f');  // 3.4e38 each
  weights.close();
  const Outcome outcome =
      run_program(arguments("again", {"--set", "model.config=", "--set", "model.start=" + bad}));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("not finite"), std::string::npos) << outcome.err;
}

TEST_F(TrainTest, StopsWithACheckpointOnSigterm) {
  const pid_t child = fork();
  if (child == 0) become_program(arguments("run", {"--set", "run.steps=100000"}));
  for (int i = 0; i < 600 && !fs::exists(path("run/checkpoints/step-00000002")); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  kill(child, SIGTERM);
  EXPECT_EQ(wait_code(child), 130);
  EXPECT_EQ(run_program(arguments("run", {"--set", "run.budget=1s", "--set", "run.steps=0"})).code,
            2);  // has checkpoints
  const Outcome on =
      run_program(arguments("run", {"--resume", "--set", "run.budget=1s", "--set", "run.steps=0"}));
  EXPECT_EQ(on.code, 0) << on.err;
  EXPECT_TRUE(fs::exists(path("run/model/config.json")));
}

}  // namespace
}  // namespace hadal::e2e
