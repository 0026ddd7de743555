#include "train/network.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "train/lora.h"
#include "train/profile.h"

namespace hadal::train {
namespace {

// Rows whose derivatives of logits exist at one time: 8 MB for a vocabulary of 4,096 in BF16.
constexpr int64_t head_rows = 1024;
// Of these, rows whose logits a thread has at one time: 2 MB. The head's panels pass by once for
// them.
constexpr int64_t logit_rows = 128;

// Rows through a norm, as operands.
void normalise(const Context& context, const Norm& norm, const float* x, int64_t first,
               int64_t count, const OperandRows& out, float* normed) {
  norm.forward(context, x + first * norm.width(), norm.width(), count, normed, norm.width());
  out.set_rows(context, first, count, normed);
}

}  // namespace

struct Network::Layer {
  Norm attention_norm, ffn_norm;
  std::unique_ptr<AttentionLayer> attention;
  FeedForward dense;
  std::unique_ptr<MoeLayer> moe;
  Buffer out_buffer;
  float* out = nullptr;  // [n, hidden]: the residual stream behind the layer
  // Kept by forward: the residual stream behind attention, both norms.
  struct Kept {
    Buffer middle_buffer;
    float* middle = nullptr;         // [n, hidden]
    OperandRows normed, ffn_normed;  // [n, hidden]
  };
  Kept kept;
  FeedForwardRows dense_rows;

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

  // Takes over the memory of what `other` keeps, which is lost there; what is not of the same shape
  // stays.
  void take(Layer& other) {
    std::swap(kept, other.kept);
    attention->exchange(*other.attention);
    if (moe && other.moe) moe->exchange(*other.moe);
    if (!moe && !other.moe) std::swap(dense_rows, other.dense_rows);
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
  Buffer embedded_buffer, hidden_buffer, x_buffer, normed_buffer, d_buffer, d_joined_buffer;
  float* embedded = nullptr;  // [n, hidden]
  float* hidden = nullptr;    // [n, hidden]: the main model's
  OperandRows joined, d_x;    // [n, 2 hidden]: both normalised; [n, hidden]
  ColumnSums enorm_sums, hnorm_sums;
  float* x = nullptr;       // [n, hidden]
  float* normed = nullptr;  // [n, hidden]
  float* d = nullptr;       // [n, hidden]

  Mtp(const model::ModelConfig& config, Parameters& parameters, const std::string& prefix)
      : enorm(parameters, prefix + "enorm", config.hidden_size, config.rms_norm_eps),
        hnorm(parameters, prefix + "hnorm", config.hidden_size, config.rms_norm_eps),
        norm(parameters, prefix + "shared_head.norm", config.hidden_size, config.rms_norm_eps),
        eh_proj(parameters, prefix + "eh_proj", config.hidden_size, 2 * config.hidden_size),
        layer(config, parameters, prefix, config.experts > 0) {}
};

Network::Network(const model::ModelConfig& config, const Lora& lora)
    : config_(config),
      parameters_(lora),
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
  load_matrix(context, *embedding_, model.embedding);
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

void Network::embed(const Context& context, const std::vector<int32_t>& tokens, float* out) {
  const Timed timed(Part::embedding);
  const int64_t hidden = config_.hidden_size;
  each_chunk(context, static_cast<int64_t>(tokens.size()),
             [&](int64_t first, int64_t count, int64_t) {
               for (int64_t r = first; r < first + count; ++r)
                 read_row(*embedding_, tokens[static_cast<size_t>(r)], out + r * hidden);
             });
}

// Every thread has its own columns, so that rows add in order.
void Network::embed_backward(const Context& context, const std::vector<int32_t>& tokens,
                             const float* d) {
  if (embedding_->gradient == nullptr) return;
  const Timed timed(Part::embedding);
  const int64_t hidden = config_.hidden_size;
  context.pool.parallel_for(hidden, 32, [&](int64_t begin, int64_t end, int) {
    for (size_t r = 0; r < tokens.size(); ++r)
      context.kernels.add_scaled(1.0f, d + static_cast<int64_t>(r) * hidden + begin, end - begin,
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
  layer.kept.normed.resize(operand_type(context), n, hidden);
  layer.kept.ffn_normed.resize(operand_type(context), n, hidden);
  layer.kept.middle = layer.kept.middle_buffer.get(n * hidden);
  layer.out = layer.out_buffer.get(n * hidden);
  each_chunk(context, n, [&](int64_t first, int64_t count, int64_t) {
    normalise(context, layer.attention_norm, x, first, count, layer.kept.normed,
              thread_floats(0, count * hidden));
  });
  layer.attention->forward(context, batch, angles(rows), layer.kept.normed, x, layer.kept.middle);
  float* router_input = router_buffer_.get(n * hidden);
  each_chunk(context, n, [&](int64_t first, int64_t count, int64_t) {
    normalise(context, layer.ffn_norm, layer.kept.middle, first, count, layer.kept.ffn_normed,
              router_input + first * hidden);
  });
  if (layer.moe) {
    layer.moe->forward(context, batch, router_input, layer.kept.ffn_normed, layer.kept.middle,
                       layer.out);
    return;
  }
  const Timed dense(Part::feed_forward);
  layer.dense_rows.start(context, n, config_.intermediate_size);
  each_chunk(context, n, [&](int64_t first, int64_t count, int64_t) {
    std::copy_n(layer.kept.middle + first * hidden, count * hidden, layer.out + first * hidden);
    layer.dense.forward(context, layer.kept.ffn_normed.rows(first, count), layer.dense_rows, first,
                        layer.out + first * hidden, true);
  });
}

// d_normed_ [n, hidden] of the derivative behind the feed-forward part, which d_rows_ holds.
void Network::backward_feed_forward(const Context& context, const Rows& rows,
                                    const LossWeights& weights, Layer& layer) {
  const int64_t n = rows.batch.rows(), hidden = config_.hidden_size;
  if (layer.moe) {
    layer.moe->backward(context, rows.batch, weights.all * weights.balance,
                        router_buffer_.get(n * hidden), layer.kept.ffn_normed, d_rows_, d_normed_);
    return;
  }
  const Timed timed(Part::feed_backward);
  layer.dense_rows.start_backward(context);
  each_chunk(context, n, [&](int64_t first, int64_t count, int64_t) {
    layer.dense.backward(context, d_rows_.rows(first, count), layer.dense_rows, first,
                         d_normed_ + first * hidden, nullptr, nullptr);
  });
  std::vector<WeightGradient> gradients;
  layer.dense.name_gradients(layer.kept.ffn_normed.rows(0, n), d_rows_.rows(0, n), layer.dense_rows,
                             0, gradients);
  accumulate_gradients(context, gradients);
}

// d [n, hidden]: the derivative behind the layer, and then in front of it.
void Network::backward_layer(const Context& context, const Rows& rows, const LossWeights& weights,
                             Layer& layer, const float* x, float* d) {
  const Timed timed(Part::norms);
  const int64_t n = rows.batch.rows(), hidden = config_.hidden_size;
  d_normed_ = d_normed_buffer_.get(n * hidden);
  d_rows_.resize(operand_type(context), n, hidden);
  float* router_input = router_buffer_.get(n * hidden);
  each_chunk(context, n, [&](int64_t first, int64_t count, int64_t) {
    d_rows_.set_rows(context, first, count, d + first * hidden);
    if (layer.moe)  // the router's input once more
      layer.ffn_norm.forward(context, layer.kept.middle + first * hidden, hidden, count,
                             router_input + first * hidden, hidden);
  });
  backward_feed_forward(context, rows, weights, layer);
  const auto norm_backward = [&](const Norm& norm, const float* in) {
    norm_sums_.start(chunks_of(n), hidden);
    each_chunk(context, n, [&](int64_t first, int64_t count, int64_t chunk) {
      const int64_t at = first * hidden;
      norm.backward(context, in + at, hidden, d_normed_ + at, hidden, count, d + at, hidden, true,
                    norm_sums_.of(chunk));
      d_rows_.set_rows(context, first, count, d + at);
    });
    norm_sums_.add_to(context, norm.weight().gradient);
  };
  norm_backward(layer.ffn_norm, layer.kept.middle);
  layer.attention->backward(context, rows.batch, angles(rows), layer.kept.normed, d_rows_,
                            d_normed_);
  norm_backward(layer.attention_norm, x);
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
  losses_.assign(static_cast<size_t>(n), 0.0);
  for (int64_t block = 0; block < n; block += head_rows) {
    const int64_t rows = std::min(head_rows, n - block);
    head_rows_.resize(operand_type(context), rows, hidden);
    d_logits_.resize(operand_type(context), rows, vocab);
    context.pool.parallel_for(rows, logit_rows, [&](int64_t begin, int64_t end, int) {
      for (int64_t first = begin; first < end; first += logit_rows) {
        const int64_t count = std::min(logit_rows, end - first);
        const int64_t stride = vocab + 16;  // not a power of two
        float* logits = thread_floats(0, count * stride);
        head_rows_.set_rows(context, first, count, h + (block + first) * hidden);
        head_.forward(context, head_rows_.rows(first, count), logits, stride);
        for (int64_t r = 0; r < count; ++r) {
          const auto at = static_cast<size_t>(block + first + r);
          losses_[at] = cross_entropy(context, targets[at], scale, logits + r * stride);
          if (dh != nullptr) d_logits_.set(context, first + r, 0, logits + r * stride, vocab);
        }
        if (dh == nullptr) continue;
        head_.backward(context, d_logits_.rows(first, count), dh + (block + first) * hidden,
                       hidden);
      }
    });
    if (dh == nullptr) continue;
    const WeightGradient gradients[] = {
        {&head_.weight(), head_rows_.rows(0, rows), d_logits_.rows(0, rows)}};
    accumulate_gradients(context, gradients);
  }
  for (const double loss : losses_) result.loss += loss;
  result.loss /= static_cast<double>(result.targets);
  return result;
}

// The loss of a row of logits, in whose place come their derivatives, `scale` times; -1: none.
double Network::cross_entropy(const Context& context, int32_t target, float scale,
                              float* logits) const {
  if (target < 0) {
    std::fill_n(logits, config_.vocab_size, 0.0f);
    return 0;
  }
  const auto at_target = static_cast<double>(logits[target]);
  float top = 0;
  const float sum = context.kernels.softmax_scaled(logits, config_.vocab_size, 1.0f, &top);
  context.kernels.scale(scale / sum, logits, config_.vocab_size, logits);
  logits[target] -= scale;
  return std::log(static_cast<double>(sum)) - (at_target - static_cast<double>(top));
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
  m.joined.resize(operand_type(context), n, 2 * hidden);
  m.x = m.x_buffer.get(n * hidden);
  m.normed = m.normed_buffer.get(n * hidden);
  embed(context, m.data.batch.tokens, m.embedded);
  each_chunk(context, n, [&](int64_t first, int64_t count, int64_t) {
    float* joined = thread_floats(0, count * 2 * hidden);
    for (int64_t i = first; i < first + count; ++i)
      std::copy_n(final_hidden + m.rows[static_cast<size_t>(i)] * hidden, hidden,
                  m.hidden + i * hidden);
    m.enorm.forward(context, m.embedded + first * hidden, hidden, count, joined, 2 * hidden);
    m.hnorm.forward(context, m.hidden + first * hidden, hidden, count, joined + hidden, 2 * hidden);
    m.joined.set_rows(context, first, count, joined);
    m.eh_proj.forward(context, m.joined.rows(first, count), m.x + first * hidden, hidden);
  });
  set_angles(m.data);
  forward_layer(context, m.data, m.layer, m.x);
  each_chunk(context, n, [&](int64_t first, int64_t count, int64_t) {
    m.norm.forward(context, m.layer.out + first * hidden, hidden, count, m.normed + first * hidden,
                   hidden);
  });
}

// m.d holds the derivative of the normalised rows.
void Network::mtp_backward(const Context& context, const LossWeights& weights,
                           float* d_final_hidden) {
  Mtp& m = *mtp_;
  const int64_t hidden = config_.hidden_size, n = m.data.batch.rows();
  final_norm_backward(context, m.norm, m.layer.out, n, m.d);
  backward_layer(context, m.data, weights, m.layer, m.x, m.d);
  m.d_x.resize(operand_type(context), n, hidden);
  m.enorm_sums.start(chunks_of(n), hidden);
  m.hnorm_sums.start(chunks_of(n), hidden);
  float* d_embedded = m.d_joined_buffer.get(n * hidden);
  each_chunk(context, n, [&](int64_t first, int64_t count, int64_t chunk) {
    float* d_joined = thread_floats(0, count * 2 * hidden);
    float* d_hidden = d_joined + hidden;
    m.d_x.set_rows(context, first, count, m.d + first * hidden);
    m.eh_proj.backward(context, m.d_x.rows(first, count), d_joined, 2 * hidden);
    m.enorm.backward(context, m.embedded + first * hidden, hidden, d_joined, 2 * hidden, count,
                     d_embedded + first * hidden, hidden, false, m.enorm_sums.of(chunk));
    m.hnorm.backward(context, m.hidden + first * hidden, hidden, d_hidden, 2 * hidden, count,
                     d_hidden, 2 * hidden, false, m.hnorm_sums.of(chunk));
    for (int64_t i = 0; i < count; ++i)  // no two of the rows are the same
      context.kernels.add_scaled(1.0f, d_hidden + i * 2 * hidden, hidden,
                                 d_final_hidden + m.rows[static_cast<size_t>(first + i)] * hidden);
  });
  m.enorm_sums.add_to(context, m.enorm.weight().gradient);
  m.hnorm_sums.add_to(context, m.hnorm.weight().gradient);
  const WeightGradient gradients[] = {{&m.eh_proj.weight(), m.joined.rows(0, n), m.d_x.rows(0, n)}};
  accumulate_gradients(context, gradients);
  embed_backward(context, m.data.batch.tokens, d_embedded);
}

// d [n, hidden] from behind a norm of x to in front of it.
void Network::final_norm_backward(const Context& context, const Norm& norm, const float* x,
                                  int64_t n, float* d) {
  const Timed timed(Part::norms);
  const int64_t hidden = config_.hidden_size;
  norm_sums_.start(chunks_of(n), hidden);
  each_chunk(context, n, [&](int64_t first, int64_t count, int64_t chunk) {
    float* rows = d + first * hidden;
    norm.backward(context, x + first * hidden, hidden, rows, hidden, count, rows, hidden, false,
                  norm_sums_.of(chunk));
  });
  norm_sums_.add_to(context, norm.weight().gradient);
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
  embed(context, batch.tokens, x);
  const float* in = x;
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (recompute_ && i > 0) layers_[i]->take(*layers_[i - 1]);
    forward_layer(context, rows_, *layers_[i], in);
    in = layers_[i]->out;
  }
  float* final_hidden = final_buffer_.get(n * hidden);
  each_chunk(context, n, [&](int64_t first, int64_t count, int64_t) {
    final_norm_.forward(context, in + first * hidden, hidden, count, final_hidden + first * hidden,
                        hidden);
  });
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
  float* d = d_final;
  final_norm_backward(context, final_norm_, in, n, d);
  for (size_t i = layers_.size(); i-- > 0;) {
    const float* before = i > 0 ? layers_[i - 1]->out : x;
    if (recompute_ && i + 1 < layers_.size()) {
      layers_[i]->take(*layers_[i + 1]);
      forward_layer(context, rows_, *layers_[i], before);
    }
    backward_layer(context, rows_, weights, *layers_[i], before, d);
  }
  embed_backward(context, batch.tokens, d);
  return losses;
}

}  // namespace hadal::train
