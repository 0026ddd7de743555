#include "train/network.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "train/profile.h"

namespace hadal::train {
namespace {

// Rows whose logits exist at one time: 4 MB for a vocabulary of 4,096.
constexpr int64_t head_rows = 256;

void add_rows(const Context& context, int64_t n, int64_t width, const float* from, float* to) {
  context.pool.parallel_for(n, 16, [&](int64_t begin, int64_t end, int) {
    context.kernels.add_scaled(1.0f, from + begin * width, (end - begin) * width,
                               to + begin * width);
  });
}

}  // namespace

struct Network::Layer {
  Norm attention_norm, ffn_norm;
  std::unique_ptr<AttentionLayer> attention;
  FeedForward dense;
  std::unique_ptr<MoeLayer> moe;
  // Kept by forward: the residual stream behind attention and behind the layer, both norms.
  Buffer normed_buffer, middle_buffer, ffn_normed_buffer, out_buffer;
  float* normed = nullptr;      // [n, hidden]
  float* middle = nullptr;      // [n, hidden]
  float* ffn_normed = nullptr;  // [n, hidden]
  float* out = nullptr;         // [n, hidden]
  Buffer d_normed_buffer;

  Layer(const model::ModelConfig& config, Parameters& parameters, const std::string& prefix,
        bool with_experts)
      : attention_norm(parameters, prefix + "input_layernorm", config.hidden_size,
                       config.rms_norm_eps),
        ffn_norm(parameters, prefix + "post_attention_layernorm", config.hidden_size,
                 config.rms_norm_eps),
        attention(make_attention(config, parameters, prefix + "self_attn.")) {
    if (with_experts)
      moe = std::make_unique<MoeLayer>(config, parameters, prefix + "mlp.");
    else
      dense =
          FeedForward(parameters, prefix + "mlp.", config.hidden_size, config.intermediate_size);
  }

  void load(const Context& context, const model::Layer& weights) {
    attention_norm.load(weights.attention_norm);
    ffn_norm.load(weights.ffn_norm);
    attention->load(context, weights.attention);
    if (moe)
      moe->load(context, weights.experts);
    else
      dense.load(context, weights.dense);
  }

  void refresh(const Context& context) {
    attention->refresh(context);
    if (moe)
      moe->refresh(context);
    else
      dense.refresh(context);
  }
};

struct Network::Mtp {
  Norm enorm, hnorm, norm;
  Linear eh_proj;
  Layer layer;
  Rows data;                  // row i of a document: token i + 1 and target i + 2
  std::vector<int64_t> rows;  // where its rows lie in the main batch
  Buffer embedded_buffer, hidden_buffer, joined_buffer, x_buffer, normed_buffer, d_buffer,
      d_joined_buffer;
  float* embedded = nullptr;  // [n, hidden]
  float* hidden = nullptr;    // [n, hidden]: the main model's
  float* joined = nullptr;    // [n, 2 hidden]: both normalised
  float* x = nullptr;         // [n, hidden]
  float* normed = nullptr;    // [n, hidden]
  float* d = nullptr;         // [n, hidden]

  Mtp(const model::ModelConfig& config, Parameters& parameters, const std::string& prefix)
      : enorm(parameters, prefix + "enorm", config.hidden_size, config.rms_norm_eps),
        hnorm(parameters, prefix + "hnorm", config.hidden_size, config.rms_norm_eps),
        norm(parameters, prefix + "shared_head.norm", config.hidden_size, config.rms_norm_eps),
        eh_proj(parameters, prefix + "eh_proj", config.hidden_size, 2 * config.hidden_size),
        layer(config, parameters, prefix, config.experts > 0) {}
};

Network::Network(const model::ModelConfig& config)
    : config_(config),
      rope_(config_.rope, config_.is_mla() ? config_.qk_rope_dim : config_.head_dim) {
  const int64_t hidden = config_.hidden_size, vocab = config_.vocab_size;
  Linear embedding(parameters_, "model.embed_tokens", vocab, hidden);
  embedding_ = &embedding.weight();
  for (int64_t i = 0; i < config_.layers; ++i)
    layers_.push_back(std::make_unique<Layer>(
        config_, parameters_, "model.layers." + std::to_string(i) + ".", config_.is_moe_layer(i)));
  if (config_.mtp_layers > 0)
    mtp_ = std::make_unique<Mtp>(config_, parameters_,
                                 "model.layers." + std::to_string(config_.layers) + ".");
  final_norm_ = Norm(parameters_, "model.norm", hidden, config_.rms_norm_eps);
  head_ = config_.tied_head ? embedding : Linear(parameters_, "lm_head", vocab, hidden);
  parameters_.allocate();
}

Network::~Network() = default;

void Network::load(const Context& context, const model::Model& model) {
  for (int64_t r = 0; r < config_.vocab_size; ++r)
    context.kernels.decode_row(&model.embedding, r, embedding_->value + r * config_.hidden_size);
  if (!config_.tied_head) head_.load(context, model.head);
  final_norm_.load(model.final_norm);
  for (size_t i = 0; i < layers_.size(); ++i) layers_[i]->load(context, model.layers[i]);
  if (!mtp_) return;
  const model::MtpLayer& weights = model.mtp.front();
  mtp_->enorm.load(weights.enorm);
  mtp_->hnorm.load(weights.hnorm);
  mtp_->norm.load(weights.norm);
  mtp_->eh_proj.load(context, weights.eh_proj);
  mtp_->layer.load(context, weights.layer);
}

void Network::refresh(const Context& context) {
  const Timed timed(Part::refresh);
  head_.refresh(context);
  for (auto& layer : layers_) layer->refresh(context);
  if (!mtp_) return;
  mtp_->eh_proj.refresh(context);
  mtp_->layer.refresh(context);
}

std::vector<MoeLayer*> Network::moe_layers() {
  std::vector<MoeLayer*> out;
  for (auto& layer : layers_)
    if (layer->moe) out.push_back(layer->moe.get());
  if (mtp_ && mtp_->layer.moe) out.push_back(mtp_->layer.moe.get());
  return out;
}

void Network::embed(const Context& context, const std::vector<int32_t>& tokens, float* out,
                    int64_t stride) {
  const Timed timed(Part::embedding);
  const int64_t hidden = config_.hidden_size;
  context.pool.parallel_for(
      static_cast<int64_t>(tokens.size()), 16, [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; ++r)
          std::copy_n(embedding_->value + tokens[static_cast<size_t>(r)] * hidden, hidden,
                      out + r * stride);
      });
}

// Every thread has its own columns, so that rows add in order.
void Network::embed_backward(const Context& context, const std::vector<int32_t>& tokens,
                             const float* d, int64_t stride) {
  const Timed timed(Part::embedding);
  const int64_t hidden = config_.hidden_size;
  context.pool.parallel_for(hidden, 64, [&](int64_t begin, int64_t end, int) {
    for (size_t r = 0; r < tokens.size(); ++r)
      context.kernels.add_scaled(1.0f, d + static_cast<int64_t>(r) * stride + begin, end - begin,
                                 embedding_->gradient + tokens[r] * hidden + begin);
  });
}

Angles Network::angles(const Rows& rows) const {
  return {rows.angles.data(), rope_.dim()};
}

void Network::set_angles(Rows& rows) const {
  const std::vector<int64_t>& documents = rows.batch.documents;
  rows.angles.resize(static_cast<size_t>(rows.batch.rows() * rope_.dim()));
  for (size_t d = 0; d + 1 < documents.size(); ++d)
    for (int64_t r = documents[d]; r < documents[d + 1]; ++r)
      rope_.angles(r - documents[d], rows.angles.data() + r * rope_.dim());
}

void Network::forward_layer(const Context& context, const Rows& rows, Layer& layer,
                            const float* x) {
  const Timed timed(Part::norms);
  const Batch& batch = rows.batch;
  const int64_t n = batch.rows(), hidden = config_.hidden_size;
  layer.normed = layer.normed_buffer.get(n * hidden);
  layer.middle = layer.middle_buffer.get(n * hidden);
  layer.ffn_normed = layer.ffn_normed_buffer.get(n * hidden);
  layer.out = layer.out_buffer.get(n * hidden);
  layer.attention_norm.forward(context, x, hidden, n, layer.normed, hidden);
  layer.attention->forward(context, batch, angles(rows), layer.normed, layer.middle);
  add_rows(context, n, hidden, x, layer.middle);
  layer.ffn_norm.forward(context, layer.middle, hidden, n, layer.ffn_normed, hidden);
  if (layer.moe) {
    layer.moe->forward(context, batch, layer.ffn_normed, layer.out);
  } else {
    const Timed dense(Part::feed_forward);
    layer.dense.forward(context, layer.ffn_normed, n, layer.out);
  }
  add_rows(context, n, hidden, layer.middle, layer.out);
}

// d [n, hidden]: the derivative behind the layer, and then in front of it.
void Network::backward_layer(const Context& context, const Rows& rows, const LossWeights& weights,
                             Layer& layer, const float* x, float* d) {
  const Timed timed(Part::norms);
  const Batch& batch = rows.batch;
  const int64_t n = batch.rows(), hidden = config_.hidden_size;
  float* d_normed = layer.d_normed_buffer.get(n * hidden);
  if (layer.moe) {
    layer.moe->backward(context, batch, weights.all * weights.balance, layer.ffn_normed, d,
                        d_normed);
  } else {
    const Timed dense(Part::feed_backward);
    layer.dense.backward(context, layer.ffn_normed, d, n, d_normed);
  }
  layer.ffn_norm.backward(context, layer.middle, hidden, d_normed, hidden, n, d, hidden, true);
  layer.attention->backward(context, batch, angles(rows), layer.normed, d, d_normed);
  layer.attention_norm.backward(context, x, hidden, d_normed, hidden, n, d, hidden, true);
}

// Cross-entropy of rows h [n, hidden] with their targets, `weight` times its mean in dh (null: no
// gradients are wanted) and in the head's gradient.
Network::HeadResult Network::head(const Context& context, const float* h,
                                  const std::vector<int32_t>& targets, float weight, float* dh) {
  const Timed timed(Part::head);
  const int64_t hidden = config_.hidden_size, vocab = config_.vocab_size;
  const auto n = static_cast<int64_t>(targets.size());
  HeadResult result{0, n - std::count(targets.begin(), targets.end(), -1)};
  if (result.targets == 0) {
    if (dh != nullptr) std::fill_n(dh, n * hidden, 0.0f);
    return result;
  }
  const float scale = weight / static_cast<float>(result.targets);
  float* logits = logits_buffer_.get(std::min(n, head_rows) * vocab);
  std::vector<double> losses(static_cast<size_t>(head_rows));
  for (int64_t first = 0; first < n; first += head_rows) {
    const int64_t rows = std::min(head_rows, n - first);
    head_.forward(context, h + first * hidden, rows, logits);
    context.pool.parallel_for(rows, 4, [&](int64_t begin, int64_t end, int) {
      for (int64_t r = begin; r < end; ++r) {
        float* row = logits + r * vocab;
        const int32_t target = targets[static_cast<size_t>(first + r)];
        losses[static_cast<size_t>(r)] = 0;
        if (target < 0) {
          std::fill_n(row, vocab, 0.0f);
          continue;
        }
        const float top = *std::max_element(row, row + vocab);
        const double at_target = static_cast<double>(row[target]) - static_cast<double>(top);
        const float sum = context.kernels.softmax(row, vocab);
        losses[static_cast<size_t>(r)] = std::log(static_cast<double>(sum)) - at_target;
        const float factor = scale / sum;
        for (int64_t c = 0; c < vocab; ++c) row[c] *= factor;
        row[target] -= scale;
      }
    });
    for (int64_t r = 0; r < rows; ++r) result.loss += losses[static_cast<size_t>(r)];
    if (dh != nullptr)
      head_.backward(context, h + first * hidden, logits, rows, dh + first * hidden);
  }
  result.loss /= static_cast<double>(result.targets);
  return result;
}

// x_i = eh_proj [enorm(emb(t_{i+1})) ; hnorm(h_i)], one layer, a norm, the main head: row i
// predicts t_{i+2} (arXiv 2412.19437, 2.2). Rows whose next token or target is another document's
// are left out.
void Network::mtp_forward(const Context& context, const Batch& batch, const float* final_hidden) {
  Mtp& m = *mtp_;
  const int64_t hidden = config_.hidden_size;
  m.data.batch = {};
  m.rows.clear();
  size_t sequence = 1;
  m.data.batch.sequences = {0};
  for (size_t d = 0; d + 1 < batch.documents.size(); ++d) {
    while (sequence + 1 < batch.sequences.size() &&
           batch.sequences[sequence] <= batch.documents[d]) {
      m.data.batch.sequences.push_back(m.data.batch.rows());
      ++sequence;
    }
    m.data.batch.documents.push_back(m.data.batch.rows());
    for (int64_t r = batch.documents[d]; r + 1 < batch.documents[d + 1]; ++r) {
      m.rows.push_back(r);
      m.data.batch.tokens.push_back(batch.tokens[static_cast<size_t>(r) + 1]);
      m.data.batch.targets.push_back(batch.targets[static_cast<size_t>(r) + 1]);
    }
  }
  const int64_t n = m.data.batch.rows();
  m.data.batch.documents.push_back(n);
  m.data.batch.sequences.push_back(n);
  m.embedded = m.embedded_buffer.get(n * hidden);
  m.hidden = m.hidden_buffer.get(n * hidden);
  m.joined = m.joined_buffer.get(n * 2 * hidden);
  m.x = m.x_buffer.get(n * hidden);
  m.normed = m.normed_buffer.get(n * hidden);
  embed(context, m.data.batch.tokens, m.embedded, hidden);
  for (int64_t i = 0; i < n; ++i)
    std::copy_n(final_hidden + m.rows[static_cast<size_t>(i)] * hidden, hidden,
                m.hidden + i * hidden);
  m.enorm.forward(context, m.embedded, hidden, n, m.joined, 2 * hidden);
  m.hnorm.forward(context, m.hidden, hidden, n, m.joined + hidden, 2 * hidden);
  m.eh_proj.forward(context, m.joined, n, m.x);
  set_angles(m.data);
  forward_layer(context, m.data, m.layer, m.x);
  m.norm.forward(context, m.layer.out, hidden, n, m.normed, hidden);
}

// m.d holds the derivative of the normalised rows.
void Network::mtp_backward(const Context& context, const LossWeights& weights,
                           float* d_final_hidden) {
  Mtp& m = *mtp_;
  const int64_t hidden = config_.hidden_size, n = m.data.batch.rows();
  m.norm.backward(context, m.layer.out, hidden, m.d, hidden, n, m.d, hidden, false);
  backward_layer(context, m.data, weights, m.layer, m.x, m.d);
  float* d_joined = m.d_joined_buffer.get(n * 2 * hidden);
  m.eh_proj.backward(context, m.joined, m.d, n, d_joined);
  m.enorm.backward(context, m.embedded, hidden, d_joined, 2 * hidden, n, d_joined, 2 * hidden,
                   false);
  embed_backward(context, m.data.batch.tokens, d_joined, 2 * hidden);
  m.hnorm.backward(context, m.hidden, hidden, d_joined + hidden, 2 * hidden, n, d_joined + hidden,
                   2 * hidden, false);
  for (int64_t i = 0; i < n; ++i)
    context.kernels.add_scaled(1.0f, d_joined + i * 2 * hidden + hidden, hidden,
                               d_final_hidden + m.rows[static_cast<size_t>(i)] * hidden);
}

Losses Network::step(const Context& context, const Batch& batch, const LossWeights& weights,
                     bool gradients) {
  const int64_t n = batch.rows(), hidden = config_.hidden_size;
  HADAL_CHECK(batch.targets.size() == batch.tokens.size() && batch.documents.size() >= 2 &&
                  batch.sequences.size() >= 2 && n > 0,
              "a batch of {} rows", n);
  rows_.batch = batch;
  set_angles(rows_);
  float* x = x_buffer_.get(n * hidden);
  embed(context, batch.tokens, x, hidden);
  const float* in = x;
  for (auto& layer : layers_) {
    forward_layer(context, rows_, *layer, in);
    in = layer->out;
  }
  float* final_hidden = final_buffer_.get(n * hidden);
  final_norm_.forward(context, in, hidden, n, final_hidden, hidden);
  float* d_final = gradients ? d_final_buffer_.get(n * hidden) : nullptr;
  const HeadResult main = head(context, final_hidden, batch.targets, weights.all, d_final);
  Losses losses{main.loss, 0, 0, 0, main.targets};
  const bool with_mtp = mtp_ && weights.mtp > 0;
  if (with_mtp) {
    mtp_forward(context, batch, final_hidden);
    Mtp& m = *mtp_;
    m.d = gradients ? m.d_buffer.get(m.data.batch.rows() * hidden) : nullptr;
    losses.mtp = head(context, m.normed, m.data.batch.targets, weights.all * weights.mtp, m.d).loss;
    if (gradients) mtp_backward(context, weights, d_final);
  }
  for (MoeLayer* moe : moe_layers())
    if (with_mtp || !mtp_ || moe != mtp_->layer.moe.get()) losses.balance += moe->stats().balance;
  losses.total = losses.cross_entropy + static_cast<double>(weights.mtp) * losses.mtp +
                 static_cast<double>(weights.balance) * losses.balance;
  if (!gradients) return losses;
  float* d = d_buffer_.get(n * hidden);
  final_norm_.backward(context, in, hidden, d_final, hidden, n, d, hidden, false);
  for (size_t i = layers_.size(); i-- > 0;)
    backward_layer(context, rows_, weights, *layers_[i], i > 0 ? layers_[i - 1]->out : x, d);
  embed_backward(context, batch.tokens, d, hidden);
  return losses;
}

}  // namespace hadal::train
