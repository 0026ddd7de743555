#include "train/attention_layer.h"

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "train/profile.h"

namespace hadal::train {
namespace {

using model::ModelConfig;

// The norms of the compressed queries and of the latent have this epsilon whatever the config says.
constexpr double lora_norm_eps = 1e-6;

// Rotates the last angles.dim elements of each of `heads` vectors of `width` in every row of x.
// inverse: by minus the angle, which carries derivatives back.
void rotate_rows(const Context& context, const ModelConfig& config, const Angles& angles, int64_t n,
                 int64_t heads, int64_t width, bool inverse, float* x) {
  const int64_t dim = angles.dim;
  context.pool.parallel_for(n, 16, [&](int64_t begin, int64_t end, int) {
    std::vector<float> cs(static_cast<size_t>(dim));
    for (int64_t r = begin; r < end; ++r) {
      std::copy_n(angles.data + r * dim, dim, cs.begin());
      if (inverse)
        for (size_t i = 1; i < cs.size(); i += 2) cs[i] = -cs[i];
      for (int64_t h = 0; h < heads; ++h) {
        float* part = x + (r * heads + h) * width + width - dim;
        if (config.rope.layout == model::RopeLayout::interleaved)
          context.kernels.rope_interleaved(part, cs.data(), dim);
        else
          context.kernels.rope_halves(part, cs.data(), dim);
      }
    }
  });
}

void each_row(const Context& context, int64_t n, const std::function<void(int64_t)>& body) {
  context.pool.parallel_for(n, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) body(r);
  });
}

class MlaLayer final : public AttentionLayer {
 public:
  MlaLayer(const ModelConfig& config, Parameters& parameters, const std::string& prefix)
      : c_(config),
        key_(config.qk_nope_dim + config.qk_rope_dim),
        latent_(config.kv_lora_rank),
        attention_({config.heads, config.heads, key_, config.v_dim,
                    static_cast<float>(config.attention_scale)}) {
    const int64_t q_rows = c_.heads * key_;
    if (c_.q_lora_rank > 0) {
      q_a_ = Linear(parameters, prefix + "q_a_proj", c_.q_lora_rank, c_.hidden_size);
      q_a_norm_ = Norm(parameters, prefix + "q_a_layernorm", c_.q_lora_rank, lora_norm_eps);
      q_b_ = Linear(parameters, prefix + "q_b_proj", q_rows, c_.q_lora_rank);
    } else {
      q_b_ = Linear(parameters, prefix + "q_proj", q_rows, c_.hidden_size);
    }
    kv_a_ =
        Linear(parameters, prefix + "kv_a_proj_with_mqa", latent_ + c_.qk_rope_dim, c_.hidden_size);
    kv_a_norm_ = Norm(parameters, prefix + "kv_a_layernorm", latent_, lora_norm_eps);
    kv_b_ =
        Linear(parameters, prefix + "kv_b_proj", c_.heads * (c_.qk_nope_dim + c_.v_dim), latent_);
    o_ = Linear(parameters, prefix + "o_proj", c_.hidden_size, c_.heads * c_.v_dim);
  }

  void load(const Context& context, const model::Attention& w) override {
    if (q_a_) {
      q_a_.load(context, w.q_a);
      q_a_norm_.load(w.q_a_norm);
    }
    q_b_.load(context, q_a_ ? w.q_b : w.q);
    kv_a_.load(context, w.kv_a);
    kv_a_norm_.load(w.kv_a_norm);
    if (w.kv_b.data == nullptr)
      fail(ErrorKind::unsupported,
           "training starts from files with kv_b_proj in one piece (a Hugging Face folder)");
    kv_b_.load(context, w.kv_b);
    o_.load(context, w.o);
  }

  void refresh(const Context& context) override {
    for (Linear* linear : {&q_a_, &q_b_, &kv_a_, &kv_b_, &o_})
      if (*linear) linear->refresh(context);
  }

  void forward(const Context& context, const Batch& batch, const Angles& angles, const float* x,
               float* y) override {
    const Timed timed(Part::projections_forward);
    const int64_t n = batch.rows(), heads = c_.heads, nope = c_.qk_nope_dim, v_dim = c_.v_dim;
    const int64_t rope = c_.qk_rope_dim, entry = latent_ + rope;
    q_ = q_buffer_.get(n * heads * key_);
    kv_ = kv_buffer_.get(n * entry);
    c_kv_ = c_kv_buffer_.get(n * latent_);
    k_ = k_buffer_.get(n * heads * key_);
    v_ = v_buffer_.get(n * heads * v_dim);
    out_ = out_buffer_.get(n * heads * v_dim);
    log_sums_ = log_sums_buffer_.get(n * heads);
    if (q_a_) {
      q_low_ = q_low_buffer_.get(n * c_.q_lora_rank);
      c_q_ = c_q_buffer_.get(n * c_.q_lora_rank);
      q_a_.forward(context, x, n, q_low_);
      q_a_norm_.forward(context, q_low_, c_.q_lora_rank, n, c_q_, c_.q_lora_rank);
      q_b_.forward(context, c_q_, n, q_);
    } else {
      q_b_.forward(context, x, n, q_);
    }
    rotate_rows(context, c_, angles, n, heads, key_, false, q_);
    kv_a_.forward(context, x, n, kv_);
    kv_a_norm_.forward(context, kv_, entry, n, c_kv_, latent_);
    rotate_rows(context, c_, angles, n, 1, entry, false, kv_);
    float* kv_up = kv_up_buffer_.get(n * heads * (nope + v_dim));
    kv_b_.forward(context, c_kv_, n, kv_up);
    each_row(context, n, [&](int64_t r) {
      for (int64_t h = 0; h < heads; ++h) {
        const float* from = kv_up + (r * heads + h) * (nope + v_dim);
        float* k = k_ + (r * heads + h) * key_;
        std::copy_n(from, nope, k);
        std::copy_n(kv_ + r * entry + latent_, rope, k + nope);
        std::copy_n(from + nope, v_dim, v_ + (r * heads + h) * v_dim);
      }
    });
    attention_.forward(context, batch, q_, k_, v_, out_, log_sums_);
    o_.forward(context, out_, n, y);
  }

  void backward(const Context& context, const Batch& batch, const Angles& angles, const float* x,
                const float* dy, float* dx) override {
    const Timed timed(Part::projections_backward);
    const int64_t n = batch.rows(), heads = c_.heads, nope = c_.qk_nope_dim, v_dim = c_.v_dim;
    const int64_t rope = c_.qk_rope_dim, entry = latent_ + rope;
    float* d_out = d_out_buffer_.get(n * heads * v_dim);
    float* dq = dq_buffer_.get(n * heads * key_);
    float* dk = dk_buffer_.get(n * heads * key_);
    float* dv = dv_buffer_.get(n * heads * v_dim);
    o_.backward(context, out_, dy, n, d_out);
    attention_.backward(context, batch, q_, k_, v_, out_, log_sums_, d_out, dq, dk, dv);
    rotate_rows(context, c_, angles, n, heads, key_, true, dq);
    float* d_kv_up = kv_up_buffer_.get(n * heads * (nope + v_dim));
    float* d_kv = d_kv_buffer_.get(n * entry);
    each_row(context, n, [&](int64_t r) {
      float* d_rope = d_kv + r * entry + latent_;
      std::fill_n(d_rope, rope, 0.0f);
      for (int64_t h = 0; h < heads; ++h) {
        float* to = d_kv_up + (r * heads + h) * (nope + v_dim);
        const float* from = dk + (r * heads + h) * key_;
        std::copy_n(from, nope, to);
        context.kernels.add_scaled(1.0f, from + nope, rope, d_rope);
        std::copy_n(dv + (r * heads + h) * v_dim, v_dim, to + nope);
      }
    });
    rotate_rows(context, c_, angles, n, 1, entry, true, d_kv);
    float* d_latent = d_latent_buffer_.get(n * latent_);
    kv_b_.backward(context, c_kv_, d_kv_up, n, d_latent);
    kv_a_norm_.backward(context, kv_, entry, d_latent, latent_, n, d_kv, entry, false);
    kv_a_.backward(context, x, d_kv, n, dx);
    float* d_x_q = d_x_q_buffer_.get(n * c_.hidden_size);
    if (q_a_) {
      float* d_c_q = d_c_q_buffer_.get(n * c_.q_lora_rank);
      q_b_.backward(context, c_q_, dq, n, d_c_q);
      q_a_norm_.backward(context, q_low_, c_.q_lora_rank, d_c_q, c_.q_lora_rank, n, d_c_q,
                         c_.q_lora_rank, false);
      q_a_.backward(context, x, d_c_q, n, d_x_q);
    } else {
      q_b_.backward(context, x, dq, n, d_x_q);
    }
    each_row(context, n, [&](int64_t r) {
      context.kernels.add_scaled(1.0f, d_x_q + r * c_.hidden_size, c_.hidden_size,
                                 dx + r * c_.hidden_size);
    });
  }

 private:
  const ModelConfig& c_;
  const int64_t key_, latent_;
  CausalAttention attention_;
  Linear q_a_, q_b_, kv_a_, kv_b_, o_;  // q_b: all of the queries' projection without compression
  Norm q_a_norm_, kv_a_norm_;
  Buffer q_low_buffer_, c_q_buffer_, q_buffer_, kv_buffer_, c_kv_buffer_, kv_up_buffer_, k_buffer_,
      v_buffer_, out_buffer_, log_sums_buffer_;
  Buffer d_out_buffer_, dq_buffer_, dk_buffer_, dv_buffer_, d_kv_buffer_, d_latent_buffer_,
      d_c_q_buffer_, d_x_q_buffer_;
  float* q_low_ = nullptr;     // [n, q_lora]
  float* c_q_ = nullptr;       // [n, q_lora], normalised
  float* q_ = nullptr;         // [n, heads, nope + rope], rotated
  float* kv_ = nullptr;        // [n, latent + rope]: latent as projected, key part rotated
  float* c_kv_ = nullptr;      // [n, latent], normalised
  float* k_ = nullptr;         // [n, heads, nope + rope]
  float* v_ = nullptr;         // [n, heads, v]
  float* out_ = nullptr;       // [n, heads, v]
  float* log_sums_ = nullptr;  // [n, heads]
};

class DenseAttentionLayer final : public AttentionLayer {
 public:
  DenseAttentionLayer(const ModelConfig& config, Parameters& parameters, const std::string& prefix)
      : c_(config),
        attention_({config.heads, config.kv_heads, config.head_dim, config.head_dim,
                    static_cast<float>(config.attention_scale)}),
        q_proj_(parameters, prefix + "q_proj", config.heads * config.head_dim, config.hidden_size,
                config.attention_bias),
        k_proj_(parameters, prefix + "k_proj", config.kv_heads * config.head_dim,
                config.hidden_size, config.attention_bias),
        v_proj_(parameters, prefix + "v_proj", config.kv_heads * config.head_dim,
                config.hidden_size, config.attention_bias),
        o_proj_(parameters, prefix + "o_proj", config.hidden_size, config.heads * config.head_dim) {
    if (!config.qk_norm) return;
    q_norm_ = Norm(parameters, prefix + "q_norm", config.head_dim, config.rms_norm_eps);
    k_norm_ = Norm(parameters, prefix + "k_norm", config.head_dim, config.rms_norm_eps);
  }

  void load(const Context& context, const model::Attention& w) override {
    q_proj_.load(context, w.q, w.q_bias);
    k_proj_.load(context, w.k, w.k_bias);
    v_proj_.load(context, w.v, w.v_bias);
    o_proj_.load(context, w.o);
    if (!q_norm_) return;
    q_norm_.load(w.q_norm);
    k_norm_.load(w.k_norm);
  }

  void refresh(const Context& context) override {
    for (Linear* linear : {&q_proj_, &k_proj_, &v_proj_, &o_proj_}) linear->refresh(context);
  }

  void forward(const Context& context, const Batch& batch, const Angles& angles, const float* x,
               float* y) override {
    const Timed timed(Part::projections_forward);
    const int64_t n = batch.rows(), dim = c_.head_dim;
    const int64_t q_size = n * c_.heads * dim, kv_size = n * c_.kv_heads * dim;
    q_ = q_buffer_.get(q_size);
    k_ = k_buffer_.get(kv_size);
    v_ = v_buffer_.get(kv_size);
    out_ = out_buffer_.get(q_size);
    log_sums_ = log_sums_buffer_.get(n * c_.heads);
    q_low_ = q_norm_ ? q_low_buffer_.get(q_size) : q_;
    k_low_ = k_norm_ ? k_low_buffer_.get(kv_size) : k_;
    q_proj_.forward(context, x, n, q_low_);
    k_proj_.forward(context, x, n, k_low_);
    v_proj_.forward(context, x, n, v_);
    if (q_norm_) {
      q_norm_.forward(context, q_low_, dim, n * c_.heads, q_, dim);
      k_norm_.forward(context, k_low_, dim, n * c_.kv_heads, k_, dim);
    }
    rotate_rows(context, c_, angles, n, c_.heads, dim, false, q_);
    rotate_rows(context, c_, angles, n, c_.kv_heads, dim, false, k_);
    attention_.forward(context, batch, q_, k_, v_, out_, log_sums_);
    o_proj_.forward(context, out_, n, y);
  }

  void backward(const Context& context, const Batch& batch, const Angles& angles, const float* x,
                const float* dy, float* dx) override {
    const Timed timed(Part::projections_backward);
    const int64_t n = batch.rows(), dim = c_.head_dim, hidden = c_.hidden_size;
    const int64_t q_size = n * c_.heads * dim, kv_size = n * c_.kv_heads * dim;
    float* d_out = d_out_buffer_.get(q_size);
    float* dq = dq_buffer_.get(q_size);
    float* dk = dk_buffer_.get(kv_size);
    float* dv = dv_buffer_.get(kv_size);
    o_proj_.backward(context, out_, dy, n, d_out);
    attention_.backward(context, batch, q_, k_, v_, out_, log_sums_, d_out, dq, dk, dv);
    rotate_rows(context, c_, angles, n, c_.heads, dim, true, dq);
    rotate_rows(context, c_, angles, n, c_.kv_heads, dim, true, dk);
    if (q_norm_) {
      q_norm_.backward(context, q_low_, dim, dq, dim, n * c_.heads, dq, dim, false);
      k_norm_.backward(context, k_low_, dim, dk, dim, n * c_.kv_heads, dk, dim, false);
    }
    q_proj_.backward(context, x, dq, n, dx);
    float* more = more_buffer_.get(n * hidden);
    const auto add = [&](Linear& projection, const float* d) {
      projection.backward(context, x, d, n, more);
      each_row(context, n, [&](int64_t r) {
        context.kernels.add_scaled(1.0f, more + r * hidden, hidden, dx + r * hidden);
      });
    };
    add(k_proj_, dk);
    add(v_proj_, dv);
  }

 private:
  const ModelConfig& c_;
  CausalAttention attention_;
  Linear q_proj_, k_proj_, v_proj_, o_proj_;
  Norm q_norm_, k_norm_;
  Buffer q_low_buffer_, k_low_buffer_, q_buffer_, k_buffer_, v_buffer_, out_buffer_,
      log_sums_buffer_;
  Buffer d_out_buffer_, dq_buffer_, dk_buffer_, dv_buffer_, more_buffer_;
  float* q_low_ = nullptr;  // before norm and rotation, if there is a norm
  float* k_low_ = nullptr;
  float* q_ = nullptr;         // [n, heads, dim]
  float* k_ = nullptr;         // [n, kv_heads, dim]
  float* v_ = nullptr;         // [n, kv_heads, dim]
  float* out_ = nullptr;       // [n, heads, dim]
  float* log_sums_ = nullptr;  // [n, heads]
};

}  // namespace

std::unique_ptr<AttentionLayer> make_attention(const ModelConfig& config, Parameters& parameters,
                                               const std::string& prefix) {
  if (config.is_mla()) return std::make_unique<MlaLayer>(config, parameters, prefix);
  return std::make_unique<DenseAttentionLayer>(config, parameters, prefix);
}

}  // namespace hadal::train
