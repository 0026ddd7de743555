#include "format/synth.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "format/config_write.h"
#include "format/gguf_write.h"
#include "format/rows.h"
#include "quant/format.h"
#include "quant/random_blocks.h"

namespace hadal::format {
namespace {

using model::Matrix;
using model::ModelConfig;
using quant::Type;

constexpr char no_weights = 0;  // what matrices without content point to

Matrix shape_of(int64_t rows, int64_t cols) {
  return {Type::BF16, &no_weights, rows, cols, 2 * cols, nullptr, 0};
}

model::Mlp mlp_of(const ModelConfig& c, int64_t width) {
  return {shape_of(width, c.hidden_size), shape_of(width, c.hidden_size),
          shape_of(c.hidden_size, width)};
}

std::vector<float> ones(int64_t n) {
  return std::vector<float>(static_cast<size_t>(n), 1.0f);
}

model::Layer layer_of(const ModelConfig& c, int64_t index) {
  model::Layer l;
  l.attention_norm = l.ffn_norm = ones(c.hidden_size);
  model::Attention& a = l.attention;
  const int64_t q_rows = c.heads * (c.qk_nope_dim + c.qk_rope_dim);
  if (c.q_lora_rank > 0) {
    a.q_a = shape_of(c.q_lora_rank, c.hidden_size);
    a.q_a_norm = ones(c.q_lora_rank);
    a.q_b = shape_of(q_rows, c.q_lora_rank);
  } else {
    a.q = shape_of(q_rows, c.hidden_size);
  }
  a.kv_a = shape_of(c.kv_lora_rank + c.qk_rope_dim, c.hidden_size);
  a.kv_a_norm = ones(c.kv_lora_rank);
  a.k_b = shape_of(c.heads * c.kv_lora_rank, c.qk_nope_dim);
  a.v_b = shape_of(c.heads * c.v_dim, c.kv_lora_rank);
  a.o = shape_of(c.hidden_size, c.heads * c.v_dim);
  if (!c.is_moe_layer(index)) {
    l.dense = mlp_of(c, c.intermediate_size);
    return l;
  }
  l.experts.router = shape_of(c.experts, c.hidden_size);
  if (c.scoring == model::Scoring::sigmoid) {
    l.experts.correction_bias.assign(static_cast<size_t>(c.experts), 0.0f);
  }
  l.experts.routed.assign(static_cast<size_t>(c.experts), mlp_of(c, c.moe_intermediate_size));
  if (c.shared_experts > 0)
    l.experts.shared = mlp_of(c, c.shared_experts * c.moe_intermediate_size);
  return l;
}

// A model whose matrices have shapes and no content.
model::Model skeleton(const ModelConfig& c) {
  model::Model model;
  model.config = c;
  model.embedding = shape_of(c.vocab_size, c.hidden_size);
  model.head = model.embedding;
  model.final_norm = ones(c.hidden_size);
  for (int64_t i = 0; i < c.layers; ++i) model.layers.push_back(layer_of(c, i));
  return model;
}

std::vector<Type> choose_types(const std::vector<PlannedTensor>& tensors, const ModelConfig& c,
                               quant::Mixture mixture) {
  std::vector<Type> types;
  for (const PlannedTensor& tensor : tensors) {
    types.push_back(quant::choose_type(mixture, tensor.name, static_cast<int>(tensor.shape.size()),
                                       tensor.rows->cols(), {c.layers, !c.tied_head}));
  }
  return types;
}

uint64_t sum_bytes(const std::vector<PlannedTensor>& tensors, const std::vector<Type>& types) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    bytes += quant::row_bytes(types[i], tensors[i].rows->cols()) *
             static_cast<uint64_t>(tensors[i].rows->rows());
  }
  return bytes;
}

// The standard deviation that keeps activations at unit size: 1 / sqrt(inputs); what is added to
// the residual stream is damped, so that all layers together double its size at most.
float deviation_of(const PlannedTensor& tensor, const ModelConfig& c) {
  const bool transposed = tensor.name.ends_with("attn_k_b.weight");
  const auto inputs = static_cast<double>(transposed ? c.kv_lora_rank : tensor.rows->cols());
  double deviation = 1.0 / std::sqrt(inputs);
  if (tensor.name == "token_embd.weight") deviation = 1.0;
  const bool to_residual = tensor.name.find("attn_output") != std::string::npos ||
                           tensor.name.find("ffn_down") != std::string::npos;
  if (to_residual) deviation /= std::sqrt(2.0 * static_cast<double>(c.layers));
  if (tensor.name.find("ffn_down_exps") != std::string::npos) deviation /= c.expert_weights_scale;
  return static_cast<float>(deviation);
}

// Tokens for the 256 bytes in GPT-2's alphabet, after the special ones of V3's dialogues.
class ByteTokenizer {
 public:
  ByteTokenizer() {
    constexpr std::array special = {"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>",
                                    "<｜▁pad▁｜>", "<｜User｜>", "<｜Assistant｜>"};
    texts_.assign(special.begin(), special.end());
    int shifted = 256;
    for (int byte = 0; byte < 256; ++byte) {
      const bool shown = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
      const int code = shown ? byte : shifted++;
      std::string text;
      if (code < 128) {
        text += static_cast<char>(code);
      } else {
        text += static_cast<char>(0xC0 | code >> 6);
        text += static_cast<char>(0x80 | (code & 0x3F));
      }
      texts_.push_back(text);
    }
    parts_.model = "gpt2";
    parts_.pre = "deepseek-v3";
    parts_.tokens.assign(texts_.begin(), texts_.end());
    parts_.types.assign(texts_.size(), 1);
    std::fill_n(parts_.types.begin(), special.size(), 3);
    parts_.bos_id = 0;
    parts_.eos_id = 1;
    parts_.pad_id = 2;
    parts_.add_bos = true;
  }
  const GgufTokenizer& parts() const { return parts_; }

 private:
  std::vector<std::string> texts_;
  GgufTokenizer parts_;
};

// Writes tensors as random rows, a batch of rows at a time.
class RandomTensors {
 public:
  RandomTensors(GgufWriter& writer, ThreadPool& pool, uint64_t seed, const WriteProgress& progress,
                uint64_t total)
      : writer_(writer), pool_(pool), seed_(seed), progress_(progress), total_(total) {}

  void write(const PlannedTensor& tensor, Type type, float deviation, uint64_t index) {
    constexpr size_t batch_bytes = size_t{16} << 20, item_bytes = size_t{1} << 16;
    const Rows& rows = *tensor.rows;
    const size_t row_bytes = quant::row_bytes(type, rows.cols());
    const auto batch = static_cast<int64_t>(std::max<size_t>(1, batch_bytes / row_bytes));
    const auto grain = static_cast<int64_t>(std::max<size_t>(1, item_bytes / row_bytes));
    const bool is_vector = tensor.shape.size() == 1;  // holds its values
    for (int64_t first = 0; first < rows.rows(); first += batch) {
      const int64_t count = std::min(batch, rows.rows() - first);
      buffer_.resize(static_cast<size_t>(count) * row_bytes);
      pool_.parallel_for(count, grain, [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; ++r) {
          std::byte* out = buffer_.data() + static_cast<size_t>(r) * row_bytes;
          if (is_vector) {
            rows.decode(first + r, 1, reinterpret_cast<float*>(out));
          } else {
            const auto key = philox(seed_, index, static_cast<uint64_t>(first + r));
            const uint64_t row_seed = uint64_t{key[0]} << 32 | key[1];
            quant::random_row(type, deviation, row_seed, out, rows.cols());
          }
        }
      });
      writer_.write(buffer_.data(), buffer_.size());
      done_ += buffer_.size();
      if (progress_) progress_(done_, total_);
    }
  }

 private:
  GgufWriter& writer_;
  ThreadPool& pool_;
  uint64_t seed_;
  const WriteProgress& progress_;
  uint64_t total_, done_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace

uint64_t synth_bytes(const ModelConfig& config, quant::Mixture mixture) {
  const model::Model model = skeleton(config);
  const std::vector<PlannedTensor> tensors = plan_gguf(model);
  return sum_bytes(tensors, choose_types(tensors, config, mixture));
}

WriteReport write_synth(const ModelConfig& config, uint64_t seed, const std::string& path,
                        const WriteOptions& options, ThreadPool& pool) {
  HADAL_CHECK(options.mixture && config.is_mla(), "random models need a mixture");
  model::validate(config);
  const model::Model model = skeleton(config);
  const std::vector<PlannedTensor> tensors = plan_gguf(model);
  const std::vector<Type> types = choose_types(tensors, config, *options.mixture);
  WriteReport report;
  report.bytes_after = sum_bytes(tensors, types);
  GgufWriter writer(path, options.replace);
  add_model_keys(config, quant::mixture_file_type(*options.mixture), writer.keys());
  const ByteTokenizer tokenizer;
  add_tokenizer_keys(tokenizer.parts(), "", config.vocab_size, writer.keys());
  add_token_ids(config, &tokenizer.parts(), writer.keys());
  for (size_t i = 0; i < tensors.size(); ++i) {
    writer.add_tensor(tensors[i].name, types[i], tensors[i].shape);
    report.weights += static_cast<uint64_t>(tensors[i].rows->rows() * tensors[i].rows->cols());
  }
  RandomTensors random(writer, pool, seed, options.progress, report.bytes_after);
  for (size_t i = 0; i < tensors.size(); ++i) {
    random.write(tensors[i], types[i], deviation_of(tensors[i], config), i);
  }
  writer.finish();
  return report;
}

}  // namespace hadal::format
