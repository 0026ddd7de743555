// Conversion in both directions: Hugging Face -> GGUF -> Hugging Face gives every tensor back bit
// for bit, GGUF files equal those of llama.cpp's converter tensor by tensor, and failures leave
// nothing behind.
#include "format/convert.h"

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/mapped_file.h"
#include "files.h"
#include "format/gguf_read.h"
#include "format/safetensors_read.h"
#include "quant/format.h"

namespace hadal::format {
namespace {

namespace fs = std::filesystem;
using testing::data_folder;
using testing::error_of;
using testing::goldens;
using testing::ScratchFolder;

std::string model_folder(const std::string& name) {
  const fs::path full = goldens() / "models" / name;
  return (fs::exists(full) ? full : data_folder() / "models" / name).string();
}

// The tree holds some models' weights only as GGUF.
#define SKIP_WITHOUT_WEIGHTS(folder)                       \
  if (!fs::exists(fs::path(folder) / "model.safetensors")) \
  GTEST_SKIP() << "only in the full goldens"

void expect_same_tensors(const std::string& folder, const std::string& original) {
  const MappedFile a(original + "/model.safetensors"), b(folder + "/model.safetensors");
  const auto want = parse_safetensors(a.bytes(), original);
  const auto got = parse_safetensors(b.bytes(), folder);
  ASSERT_EQ(got.size(), want.size());
  for (const SafetensorsTensor& tensor : want) {
    const auto same =
        std::find_if(got.begin(), got.end(), [&](const auto& t) { return t.name == tensor.name; });
    ASSERT_NE(same, got.end()) << tensor.name;
    EXPECT_EQ(same->dtype, tensor.dtype) << tensor.name;
    EXPECT_EQ(same->shape, tensor.shape) << tensor.name;
    ASSERT_EQ(same->data.size(), tensor.data.size()) << tensor.name;
    EXPECT_EQ(std::memcmp(same->data.data(), tensor.data.data(), tensor.data.size()), 0)
        << tensor.name;
  }
}

void expect_same_config(const model::ModelConfig& a, const model::ModelConfig& b) {
  EXPECT_EQ(a.architecture, b.architecture);
  EXPECT_EQ(a.layers, b.layers);
  EXPECT_EQ(a.mtp_layers, b.mtp_layers);
  EXPECT_EQ(a.heads, b.heads);
  EXPECT_EQ(a.kv_lora_rank, b.kv_lora_rank);
  EXPECT_EQ(a.first_dense_layers, b.first_dense_layers);
  EXPECT_EQ(a.experts_per_token, b.experts_per_token);
  EXPECT_EQ(a.shared_experts, b.shared_experts);
  EXPECT_EQ(a.expert_groups, b.expert_groups);
  EXPECT_EQ(a.expert_groups_used, b.expert_groups_used);
  EXPECT_EQ(a.group_score, b.group_score);
  EXPECT_EQ(a.scoring, b.scoring);
  EXPECT_EQ(a.normalize_expert_weights, b.normalize_expert_weights);
  EXPECT_EQ(a.tied_head, b.tied_head);
  EXPECT_EQ(a.eos_ids, b.eos_ids);
  EXPECT_FLOAT_EQ(static_cast<float>(a.expert_weights_scale),
                  static_cast<float>(b.expert_weights_scale));
  EXPECT_NEAR(a.attention_scale, b.attention_scale, 1e-6 * a.attention_scale);
  EXPECT_NEAR(a.rope.magnitude, b.rope.magnitude, 1e-6);
  EXPECT_EQ(a.rope.theta, b.rope.theta);
  EXPECT_EQ(a.rope.factor, b.rope.factor);
  EXPECT_EQ(a.rope.original_context, b.rope.original_context);
  EXPECT_NEAR(a.rms_norm_eps, b.rms_norm_eps, 1e-12);
}

class RoundTrip : public ::testing::TestWithParam<const char*> {};

TEST_P(RoundTrip, GivesEveryTensorBack) {
  const ScratchFolder scratch;
  ThreadPool pool(2);
  const std::string original = model_folder(GetParam());
  SKIP_WITHOUT_WEIGHTS(original);
  const std::string gguf = (scratch.path() / "model.gguf").string();
  const std::string folder = (scratch.path() / "back").string();
  const LoadedFiles first = load_model(original);
  const WriteReport there = write_gguf(first, nullptr, gguf, {}, pool);
  EXPECT_EQ(there.notes.empty(), std::string(GetParam()) != "v3-fp8");
  const LoadedFiles second = load_model(gguf);
  const WriteReport back = write_hf(second, {}, folder, {}, pool);
  EXPECT_TRUE(back.notes.empty());
  const LoadedFiles third = load_model(folder);
  expect_same_config(first.model->config, third.model->config);
  EXPECT_EQ(first.model->config.rope.scaling, third.model->config.rope.scaling);
  if (std::string(GetParam()) != "v3-fp8") expect_same_tensors(folder, original);
}

INSTANTIATE_TEST_SUITE_P(Models, RoundTrip,
                         ::testing::Values("v2-lite", "v2", "v3", "v3-256", "v3-f32-odd", "v3-fp8",
                                           "moonlight", "kimi-k2", "r1-llama", "r1-qwen2",
                                           "r1-qwen2-tied", "r1-qwen3"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Convert, AllLayoutsOfTheLatentGiveTheSameFolder) {
  const ScratchFolder scratch;
  ThreadPool pool(2);
  std::vector<std::byte> first;
  for (const char* layout : {"ik.bf16", "kv-b-only.bf16", "split.bf16-00001-of-00003"}) {
    const std::string path =
        (data_folder() / "gguf" / fmt::format("v2-lite.{}.gguf", layout)).string();
    const std::string folder = (scratch.path() / layout).string();
    write_hf(load_model(path), {}, folder, {}, pool);
    const std::vector<std::byte> bytes = testing::read_bytes(folder + "/model.safetensors");
    ASSERT_GT(bytes.size(), 100000u);
    if (first.empty()) first = bytes;
    EXPECT_TRUE(bytes == first) << layout;
  }
}

TEST(Convert, LlamaRowsAreRestored) {
  const ScratchFolder scratch;
  ThreadPool pool(2);
  const std::string path = (data_folder() / "gguf" / "r1-llama.mainline.bf16.gguf").string();
  const std::string folder = (scratch.path() / "hf").string();
  const std::string again = (scratch.path() / "again.gguf").string();
  write_hf(load_model(path), {}, folder, {}, pool);
  const LoadedFiles middle = load_model(folder);
  EXPECT_EQ(middle.model->config.rope.scaling, model::RopeScaling::llama3);
  EXPECT_EQ(middle.model->config.rope.original_context, 64);
  EXPECT_EQ(middle.model->config.rope.factor, 8.0);
  write_gguf(middle, nullptr, again, {}, pool);
  const MappedFile a(path), b(again);
  const Gguf want(a.bytes(), path), got(b.bytes(), again);
  const auto rows_of = [](const Gguf& gguf, std::string_view name) {
    const auto found = std::find_if(gguf.tensors().begin(), gguf.tensors().end(),
                                    [&](const auto& t) { return t.name == name; });
    return std::vector<std::byte>(found->data.begin(), found->data.end());
  };
  for (const char* name : {"blk.0.attn_q.weight", "blk.2.attn_k.weight", "blk.1.attn_v.weight"}) {
    EXPECT_TRUE(rows_of(want, name) == rows_of(got, name)) << name;
  }
  const std::vector<std::byte> middle_bytes = testing::read_bytes(folder + "/model.safetensors");
  const auto tensors = parse_safetensors(middle_bytes, folder);
  const auto q = std::find_if(tensors.begin(), tensors.end(), [](const auto& t) {
    return t.name == "model.layers.0.self_attn.q_proj.weight";
  });
  ASSERT_NE(q, tensors.end());
  EXPECT_FALSE(
      std::equal(q->data.begin(), q->data.end(), rows_of(want, "blk.0.attn_q.weight").begin()));
}

// Tensors that another converter wrote of the same model; Hadal's file may hold more (MTP).
class OtherConverter : public ::testing::TestWithParam<const char*> {};

TEST_P(OtherConverter, WritesTheSameTensors) {
  const std::string name = GetParam();
  fs::path theirs_path = goldens() / "gguf" / (name + ".mainline.bf16.gguf");
  if (!fs::exists(theirs_path)) theirs_path = data_folder() / "gguf" / theirs_path.filename();
  if (!fs::exists(theirs_path)) GTEST_SKIP() << "only in the full goldens";
  SKIP_WITHOUT_WEIGHTS(model_folder(name));
  const ScratchFolder scratch;
  ThreadPool pool(2);
  const std::string ours_path = (scratch.path() / "model.gguf").string();
  write_gguf(load_model(model_folder(name)), nullptr, ours_path, {}, pool);
  const MappedFile ours_file(ours_path), theirs_file(theirs_path.string());
  const Gguf ours(ours_file.bytes(), ours_path), theirs(theirs_file.bytes(), theirs_path.string());
  for (const GgufTensor& want : theirs.tensors()) {
    const auto got = std::find_if(ours.tensors().begin(), ours.tensors().end(),
                                  [&](const auto& t) { return t.name == want.name; });
    ASSERT_NE(got, ours.tensors().end()) << want.name;
    EXPECT_EQ(got->type_id, want.type_id) << want.name;
    EXPECT_EQ(got->shape, want.shape) << want.name;
    ASSERT_EQ(got->data.size(), want.data.size()) << want.name;
    if (want.name == "rope_freqs.weight") {  // theirs were computed in single precision
      for (size_t i = 0; i < want.data.size(); i += 4) {
        float a, b;
        std::memcpy(&a, got->data.data() + i, 4);
        std::memcpy(&b, want.data.data() + i, 4);
        EXPECT_NEAR(a, b, 1e-5f * b);
      }
      continue;
    }
    EXPECT_EQ(std::memcmp(got->data.data(), want.data.data(), want.data.size()), 0) << want.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, OtherConverter,
                         ::testing::Values("v2-lite", "v3", "v3-256", "moonlight", "r1-llama",
                                           "r1-qwen2", "r1-qwen3"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Quantize, WritesTheMixtureAndReportsSizes) {
  const ScratchFolder scratch;
  ThreadPool pool(2);
  const LoadedFiles source = load_model(model_folder("v3"));
  for (const auto mixture :
       {quant::Mixture::Q8_0, quant::Mixture::Q6_K, quant::Mixture::Q5_K_M, quant::Mixture::Q4_K_M,
        quant::Mixture::Q4_0, quant::Mixture::IQ4_XS, quant::Mixture::F16, quant::Mixture::F32}) {
    const std::string path =
        (scratch.path() / (std::string(quant::mixture_name(mixture)) + ".gguf")).string();
    const WriteReport report = write_gguf(source, nullptr, path, {.mixture = mixture}, pool);
    const LoadedFiles result = load_model(path);
    EXPECT_EQ(report.bytes_after, static_cast<uint64_t>(result.model->file_bytes));
    EXPECT_NEAR(report.bits_before(), 16.5, 1.0);  // the source's MTP layer repeats the head
    const quant::Type type = quant::choose_type(mixture, "blk.0.attn_q_a.weight", 2, 128,
                                                {.layers = 4, .has_head = true});
    EXPECT_EQ(result.model->layers[0].attention.q_a.type, type);
    EXPECT_EQ(result.model->layers[1].experts.router.type, quant::Type::F32);
  }
}

TEST(Quantize, DecodedWeightsAreNearTheSource) {
  const ScratchFolder scratch;
  ThreadPool pool(2);
  const LoadedFiles source = load_model(model_folder("v3"));
  const std::string path = (scratch.path() / "q.gguf").string();
  write_gguf(source, nullptr, path, {.mixture = quant::Mixture::Q8_0}, pool);
  const LoadedFiles result = load_model(path);
  const model::Matrix& a = source.model->layers[1].experts.routed[3].down;
  const model::Matrix& b = result.model->layers[1].experts.routed[3].down;
  double error = 0.0, norm = 0.0;
  std::vector<float> x(static_cast<size_t>(a.cols)), y(x.size());
  for (int64_t row = 0; row < a.rows; ++row) {
    quant::decode_row(a.type, static_cast<const std::byte*>(a.data) + row * a.row_bytes, x.data(),
                      a.cols);
    quant::decode_row(b.type, static_cast<const std::byte*>(b.data) + row * b.row_bytes, y.data(),
                      b.cols);
    for (size_t i = 0; i < x.size(); ++i) {
      error += (x[i] - y[i]) * (x[i] - y[i]);
      norm += x[i] * x[i];
    }
  }
  EXPECT_LT(error, 1e-4 * norm);
  EXPECT_GT(error, 0.0);
}

TEST(Convert, KeepsExistingOutputsUnlessForced) {
  const ScratchFolder scratch;
  ThreadPool pool(1);
  const LoadedFiles source = load_model(model_folder("v3"));
  const std::string path = scratch.write("model.gguf", "precious");
  EXPECT_CONTAINS(error_of([&] { write_gguf(source, nullptr, path, {}, pool); }), "--force");
  EXPECT_EQ(testing::read_bytes(path).size(), 8u);
  write_gguf(source, nullptr, path, {.replace = true}, pool);
  EXPECT_EQ(load_model(path).model->layers.size(), 4u);
  scratch.write("config.json", "{}");
  EXPECT_CONTAINS(error_of([&] { write_hf(source, {}, scratch.path().string(), {}, pool); }),
                  "config.json exists already");
}

TEST(Convert, LeavesNothingBehindWhenStopped) {
  const ScratchFolder scratch;
  ThreadPool pool(1);
  const LoadedFiles source = load_model(model_folder("v3"));
  const WriteProgress stop = [](uint64_t done, uint64_t total) {
    if (done > total / 2) throw Error(ErrorKind::interrupted, "stopped");
  };
  const std::string folder = (scratch.path() / "folder").string();
  EXPECT_THROW(
      write_gguf(source, nullptr, (scratch.path() / "a.gguf").string(), {.progress = stop}, pool),
      Error);
  EXPECT_THROW(write_hf(source, {}, folder, {.progress = stop}, pool), Error);
  for (const auto& entry : fs::recursive_directory_iterator(scratch.path())) {
    EXPECT_TRUE(entry.is_directory()) << entry.path();
  }
}

TEST(Convert, NamesWhatCannotBeWritten) {
  const LoadedFiles source = load_model(model_folder("v3"));
  ThreadPool pool(1);
  EXPECT_CONTAINS(
      error_of([&] { write_gguf(source, nullptr, "/nonexistent/model.gguf", {}, pool); }),
      "cannot create /nonexistent/model.gguf: No such file");
}

}  // namespace
}  // namespace hadal::format
