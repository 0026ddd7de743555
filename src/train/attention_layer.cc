#include "train/attention_layer.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "train/profile.h"

namespace hadal::train {
namespace {

using model::ModelConfig;

// The norms of the compressed queries and of the latent have this epsilon whatever the config says.
constexpr double lora_norm_eps = 1e-6;

// Rotates the last angles.dim elements of each of `heads` vectors of `width` in n rows of x, which
// stand at row `first` of the batch. inverse: by minus the angle, which carries derivatives back.
void rotate_rows(const Context& context, const ModelConfig& config, const Angles& angles,
                 int64_t first, int64_t n, int64_t heads, int64_t width, bool inverse, float* x) {
  const int64_t dim = angles.dim;
  const auto rotate = config.rope.layout == model::RopeLayout::interleaved
                          ? context.kernels.rope_interleaved
                          : context.kernels.rope_halves;
  float* turned = thread_floats(7, dim);
  for (int64_t r = 0; r < n; ++r) {
    const float* cs = angles.data + (first + r) * dim;
    if (inverse) {
      for (int64_t i = 0; i < dim; i += 2) {
        turned[i] = cs[i];
        turned[i + 1] = -cs[i + 1];
      }
      cs = turned;
    }
    for (int64_t h = 0; h < heads; ++h) rotate(x + (r * heads + h) * width + width - dim, cs, dim);
  }
}

// deltas [heads, n] of rows [first, first + count): do . o of each head.
void set_deltas(const Context& context, const OperandRows& o, const float* d_o, int64_t first,
                int64_t count, int64_t heads, float* deltas) {
  const int64_t width = o.cols() / heads;
  const kernels::Matrix rows = o.matrix();
  float* row = thread_floats(7, o.cols());
  for (int64_t r = 0; r < count; ++r) {
    context.kernels.decode_row(&rows, first + r, row);
    for (int64_t h = 0; h < heads; ++h)
      deltas[h * o.rows() + first + r] =
          context.kernels.dot(row + h * width, d_o + r * o.cols() + h * width, width);
  }
}

// What the passes keep.
struct MlaRows {
  OperandRows c_q_;   // [n, q_lora], normalised
  OperandRows q_;     // [n, heads * (nope + rope)], rotated
  OperandRows c_kv_;  // [n, latent], normalised
  OperandRows k_;     // [n, heads * (nope + rope)]
  OperandRows v_;     // [n, heads * v]
  OperandRows out_;   // [n, heads * v]
  OperandRows d_out_, d_q_, d_q_low_, d_kv_up_, d_kv_;
  ColumnSums kv_norm_sums_, q_norm_sums_;
  Buffer q_low_buffer_, kv_buffer_, log_sums_buffer_, deltas_buffer_, dq_buffer_, dk_buffer_,
      dv_buffer_;
  float* q_low_ = nullptr;     // [n, q_lora]
  float* kv_ = nullptr;        // [n, latent + rope]: latent as projected, key part rotated
  float* log_sums_ = nullptr;  // [heads, n]
};

class MlaLayer final : public AttentionLayer, private MlaRows {
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

  void forward(const Context& context, const Batch& batch, const Angles& angles,
               const OperandRows& x, const float* residual, float* y) override {
    const Timed timed(Part::projections_forward);
    const int64_t n = batch.rows(), heads = c_.heads, hidden = c_.hidden_size;
    const quant::Type type = operand_type(context);
    q_.resize(type, n, heads * key_);
    k_.resize(type, n, heads * key_);
    v_.resize(type, n, heads * c_.v_dim);
    out_.resize(type, n, heads * c_.v_dim);
    c_kv_.resize(type, n, latent_);
    kv_ = kv_buffer_.get(n * entry());
    log_sums_ = log_sums_buffer_.get(n * heads);
    if (q_a_) {
      q_low_ = q_low_buffer_.get(n * c_.q_lora_rank);
      c_q_.resize(type, n, c_.q_lora_rank);
    }
    each_chunk(context, n, [&](int64_t first, int64_t count, int64_t) {
      project_queries(context, angles, x, first, count);
      project_keys(context, angles, x, first, count);
    });
    attention_.forward(context, batch, {q_, k_, v_}, out_, log_sums_);
    each_chunk(context, n, [&](int64_t first, int64_t count, int64_t) {
      std::copy_n(residual + first * hidden, count * hidden, y + first * hidden);
      o_.forward(context, out_.rows(first, count), y + first * hidden, hidden, true);
    });
  }

  void backward(const Context& context, const Batch& batch, const Angles& angles,
                const OperandRows& x, const OperandRows& dy, float* dx) override {
    const Timed timed(Part::projections_backward);
    const int64_t n = batch.rows(), heads = c_.heads, hidden = c_.hidden_size;
    const quant::Type type = operand_type(context);
    d_out_.resize(type, n, heads * c_.v_dim);
    d_q_.resize(type, n, heads * key_);
    d_kv_up_.resize(type, n, kv_b_.rows());
    d_kv_.resize(type, n, entry());
    float* deltas = deltas_buffer_.get(n * heads);
    float* dq = dq_buffer_.get(n * heads * key_);
    float* dk = dk_buffer_.get(n * heads * key_);
    float* dv = dv_buffer_.get(n * heads * c_.v_dim);
    each_chunk(context, n, [&](int64_t first, int64_t count, int64_t) {
      float* d = thread_floats(0, count * d_out_.cols());
      o_.backward(context, dy.rows(first, count), d, d_out_.cols());
      set_deltas(context, out_, d, first, count, heads, deltas);
      d_out_.set_rows(context, first, count, d);
    });
    attention_.backward(context, batch, {q_, k_, v_}, {log_sums_, deltas}, d_out_, dq, dk, dv);
    kv_norm_sums_.start(chunks_of(n), latent_);
    if (q_a_) {
      d_q_low_.resize(type, n, c_.q_lora_rank);
      q_norm_sums_.start(chunks_of(n), c_.q_lora_rank);
    }
    each_chunk(context, n, [&](int64_t first, int64_t count, int64_t chunk) {
      float* d = dx + first * hidden;
      keys_backward(context, angles, dk, dv, first, count, kv_norm_sums_.of(chunk));
      kv_a_.backward(context, d_kv_.rows(first, count), d, hidden);
      queries_backward(context, angles, dq, first, count, chunk, d);
    });
    kv_norm_sums_.add_to(context, kv_a_norm_.weight().gradient);
    if (q_a_) q_norm_sums_.add_to(context, q_a_norm_.weight().gradient);
    std::vector<WeightGradient> gradients = {
        {&o_.weight(), out_.rows(0, n), dy.rows(0, n)},
        {&kv_b_.weight(), c_kv_.rows(0, n), d_kv_up_.rows(0, n)},
        {&kv_a_.weight(), x.rows(0, n), d_kv_.rows(0, n)}};
    if (q_a_) {
      gradients.push_back({&q_a_.weight(), x.rows(0, n), d_q_low_.rows(0, n)});
      gradients.push_back({&q_b_.weight(), c_q_.rows(0, n), d_q_.rows(0, n)});
    } else {
      gradients.push_back({&q_b_.weight(), x.rows(0, n), d_q_.rows(0, n)});
    }
    accumulate_gradients(context, gradients);
  }

  void exchange(AttentionLayer& other) override {
    std::swap<MlaRows>(*this, dynamic_cast<MlaLayer&>(other));
  }

 private:
  int64_t entry() const { return latent_ + c_.qk_rope_dim; }

  void project_queries(const Context& context, const Angles& angles, const OperandRows& x,
                       int64_t first, int64_t count) {
    const int64_t width = c_.heads * key_, low = c_.q_lora_rank;
    float* q = thread_floats(0, count * width);
    if (q_a_) {
      float* q_low = q_low_ + first * low;
      float* normed = thread_floats(1, count * low);
      q_a_.forward(context, x.rows(first, count), q_low, low);
      q_a_norm_.forward(context, q_low, low, count, normed, low);
      c_q_.set_rows(context, first, count, normed);
    }
    q_b_.forward(context, (q_a_ ? c_q_ : x).rows(first, count), q, width);
    rotate_rows(context, c_, angles, first, count, c_.heads, key_, false, q);
    q_.set_rows(context, first, count, q);
  }

  void project_keys(const Context& context, const Angles& angles, const OperandRows& x,
                    int64_t first, int64_t count) {
    const int64_t nope = c_.qk_nope_dim, rope = c_.qk_rope_dim, v_dim = c_.v_dim;
    float* kv = thread_floats(2, count * entry());
    float* normed = thread_floats(0, count * latent_);
    kv_a_.forward(context, x.rows(first, count), kv, entry());
    kv_a_norm_.forward(context, kv, entry(), count, normed, latent_);
    c_kv_.set_rows(context, first, count, normed);
    rotate_rows(context, c_, angles, first, count, 1, entry(), false, kv);
    std::copy_n(kv, count * entry(), kv_ + first * entry());
    float* up = thread_floats(1, count * kv_b_.rows());
    kv_b_.forward(context, c_kv_.rows(first, count), up, kv_b_.rows());
    for (int64_t r = 0; r < count; ++r) {
      for (int64_t h = 0; h < c_.heads; ++h) {
        const float* from = up + (r * c_.heads + h) * (nope + v_dim);
        k_.set(context, first + r, h * key_, from, nope);
        k_.set(context, first + r, h * key_ + nope, kv + r * entry() + latent_, rope);
        v_.set(context, first + r, h * v_dim, from + nope, v_dim);
      }
    }
  }

  // From dk and dv to d_kv_up_ and d_kv_.
  void keys_backward(const Context& context, const Angles& angles, const float* dk, const float* dv,
                     int64_t first, int64_t count, float* norm_sums) {
    const int64_t nope = c_.qk_nope_dim, rope = c_.qk_rope_dim, v_dim = c_.v_dim;
    float* d_kv = thread_floats(0, count * entry());
    float* d_latent = thread_floats(1, count * latent_);
    for (int64_t r = 0; r < count; ++r) {
      float* d_rope = d_kv + r * entry() + latent_;
      std::fill_n(d_rope, rope, 0.0f);
      for (int64_t h = 0; h < c_.heads; ++h) {
        const int64_t at = (first + r) * c_.heads + h, to = h * (nope + v_dim);
        d_kv_up_.set(context, first + r, to, dk + at * key_, nope);
        d_kv_up_.set(context, first + r, to + nope, dv + at * v_dim, v_dim);
        context.kernels.add_scaled(1.0f, dk + at * key_ + nope, rope, d_rope);
      }
    }
    rotate_rows(context, c_, angles, first, count, 1, entry(), true, d_kv);
    kv_b_.backward(context, d_kv_up_.rows(first, count), d_latent, latent_);
    kv_a_norm_.backward(context, kv_ + first * entry(), entry(), d_latent, latent_, count, d_kv,
                        entry(), false, norm_sums);
    d_kv_.set_rows(context, first, count, d_kv);
  }

  void queries_backward(const Context& context, const Angles& angles, float* dq, int64_t first,
                        int64_t count, int64_t chunk, float* dx) {
    float* d = dq + first * d_q_.cols();
    rotate_rows(context, c_, angles, first, count, c_.heads, key_, true, d);
    d_q_.set_rows(context, first, count, d);
    if (!q_a_) {
      q_b_.backward(context, d_q_.rows(first, count), dx, c_.hidden_size, true);
      return;
    }
    const int64_t low = c_.q_lora_rank;
    float* d_low = thread_floats(0, count * low);
    q_b_.backward(context, d_q_.rows(first, count), d_low, low);
    q_a_norm_.backward(context, q_low_ + first * low, low, d_low, low, count, d_low, low, false,
                       q_norm_sums_.of(chunk));
    d_q_low_.set_rows(context, first, count, d_low);
    q_a_.backward(context, d_q_low_.rows(first, count), dx, c_.hidden_size, true);
  }

  const ModelConfig& c_;
  const int64_t key_, latent_;
  CausalAttention attention_;
  Linear q_a_, q_b_, kv_a_, kv_b_, o_;  // q_b: all of the queries' projection without compression
  Norm q_a_norm_, kv_a_norm_;
};

// The same of dense attention: of one projection, and of the whole.
struct ProjectionRows {
  OperandRows out, d_out;  // [n, heads * dim]: of attention; derivatives behind `linear`
  Buffer low_buffer, d_buffer;
  float* low = nullptr;  // [n, heads * dim]: before the norm, if there is one
  float* d = nullptr;    // [n, heads * dim]
  ColumnSums bias_sums, norm_sums;
};
struct DenseAttentionRows {
  OperandRows out_, d_out_;  // [n, heads * dim]
  Buffer log_sums_buffer_, deltas_buffer_;
  float* log_sums_ = nullptr;  // [heads, n]
};

class DenseAttentionLayer final : public AttentionLayer, private DenseAttentionRows {
 public:
  DenseAttentionLayer(const ModelConfig& config, Parameters& parameters, const std::string& prefix)
      : c_(config),
        attention_({config.heads, config.kv_heads, config.head_dim, config.head_dim,
                    static_cast<float>(config.attention_scale)}) {
    const auto add = [&](Projection& p, const char* name, int64_t heads) {
      p.heads = heads;
      p.linear = Linear(parameters, prefix + name, heads * config.head_dim, config.hidden_size,
                        config.attention_bias);
    };
    add(q_, "q_proj", config.heads);
    add(k_, "k_proj", config.kv_heads);
    add(v_, "v_proj", config.kv_heads);
    o_proj_ =
        Linear(parameters, prefix + "o_proj", config.hidden_size, config.heads * config.head_dim);
    v_.rotated = false;
    if (!config.qk_norm) return;
    q_.norm = Norm(parameters, prefix + "q_norm", config.head_dim, config.rms_norm_eps);
    k_.norm = Norm(parameters, prefix + "k_norm", config.head_dim, config.rms_norm_eps);
  }

  void load(const Context& context, const model::Attention& w) override {
    q_.linear.load(context, w.q, w.q_bias);
    k_.linear.load(context, w.k, w.k_bias);
    v_.linear.load(context, w.v, w.v_bias);
    o_proj_.load(context, w.o);
    if (!q_.norm) return;
    q_.norm.load(w.q_norm);
    k_.norm.load(w.k_norm);
  }

  void refresh(const Context& context) override {
    for (Linear* linear : {&q_.linear, &k_.linear, &v_.linear, &o_proj_}) linear->refresh(context);
  }

  void forward(const Context& context, const Batch& batch, const Angles& angles,
               const OperandRows& x, const float* residual, float* y) override {
    const Timed timed(Part::projections_forward);
    const int64_t n = batch.rows(), hidden = c_.hidden_size;
    out_.resize(operand_type(context), n, c_.heads * c_.head_dim);
    log_sums_ = log_sums_buffer_.get(n * c_.heads);
    for (Projection* p : {&q_, &k_, &v_}) {
      p->out.resize(operand_type(context), n, p->linear.rows());
      if (p->norm) p->low = p->low_buffer.get(n * p->linear.rows());
    }
    each_chunk(context, n, [&](int64_t first, int64_t count, int64_t) {
      for (const Projection* p : {&q_, &k_, &v_}) project(context, angles, *p, x, first, count);
    });
    attention_.forward(context, batch, {q_.out, k_.out, v_.out}, out_, log_sums_);
    each_chunk(context, n, [&](int64_t first, int64_t count, int64_t) {
      std::copy_n(residual + first * hidden, count * hidden, y + first * hidden);
      o_proj_.forward(context, out_.rows(first, count), y + first * hidden, hidden, true);
    });
  }

  void backward(const Context& context, const Batch& batch, const Angles& angles,
                const OperandRows& x, const OperandRows& dy, float* dx) override {
    const Timed timed(Part::projections_backward);
    const int64_t n = batch.rows(), hidden = c_.hidden_size;
    const quant::Type type = operand_type(context);
    d_out_.resize(type, n, out_.cols());
    float* deltas = deltas_buffer_.get(n * c_.heads);
    each_chunk(context, n, [&](int64_t first, int64_t count, int64_t) {
      float* d = thread_floats(0, count * out_.cols());
      o_proj_.backward(context, dy.rows(first, count), d, out_.cols());
      set_deltas(context, out_, d, first, count, c_.heads, deltas);
      d_out_.set_rows(context, first, count, d);
    });
    for (Projection* p : {&q_, &k_, &v_}) {
      p->d = p->d_buffer.get(n * p->linear.rows());
      p->d_out.resize(type, n, p->linear.rows());
      p->bias_sums.start(chunks_of(n), p->linear.rows());
      if (p->norm) p->norm_sums.start(chunks_of(n), c_.head_dim);
    }
    attention_.backward(context, batch, {q_.out, k_.out, v_.out}, {log_sums_, deltas}, d_out_, q_.d,
                        k_.d, v_.d);
    each_chunk(context, n, [&](int64_t first, int64_t count, int64_t chunk) {
      for (const Projection* p : {&q_, &k_, &v_}) {
        project_backward(context, angles, *p, first, count, chunk);
        p->linear.backward(context, p->d_out.rows(first, count), dx + first * hidden, hidden,
                           p != &q_);
      }
    });
    std::vector<WeightGradient> gradients = {{&o_proj_.weight(), out_.rows(0, n), dy.rows(0, n)}};
    for (const Projection* p : {&q_, &k_, &v_}) {
      if (p->linear.bias() != nullptr) p->bias_sums.add_to(context, p->linear.bias()->gradient);
      if (p->norm) p->norm_sums.add_to(context, p->norm.weight().gradient);
      gradients.push_back({&p->linear.weight(), x.rows(0, n), p->d_out.rows(0, n)});
    }
    accumulate_gradients(context, gradients);
  }

  void exchange(AttentionLayer& other) override {
    auto& from = dynamic_cast<DenseAttentionLayer&>(other);
    std::swap<DenseAttentionRows>(*this, from);
    std::swap<ProjectionRows>(q_, from.q_);
    std::swap<ProjectionRows>(k_, from.k_);
    std::swap<ProjectionRows>(v_, from.v_);
  }

 private:
  // Queries, keys or values: a projection, perhaps a norm of each head, perhaps rotated.
  struct Projection : ProjectionRows {
    Linear linear;
    Norm norm;
    int64_t heads = 0;
    bool rotated = true;
  };

  void project(const Context& context, const Angles& angles, const Projection& p,
               const OperandRows& x, int64_t first, int64_t count) const {
    const int64_t dim = c_.head_dim, width = p.linear.rows();
    float* out = thread_floats(0, count * width);
    float* low = p.norm ? p.low + first * width : out;
    p.linear.forward(context, x.rows(first, count), low, width);
    if (p.norm) p.norm.forward(context, low, dim, count * p.heads, out, dim);
    if (p.rotated) rotate_rows(context, c_, angles, first, count, p.heads, dim, false, out);
    p.out.set_rows(context, first, count, out);
  }

  void project_backward(const Context& context, const Angles& angles, const Projection& p,
                        int64_t first, int64_t count, int64_t chunk) const {
    const int64_t dim = c_.head_dim, width = p.linear.rows();
    float* d = p.d + first * width;
    if (p.rotated) rotate_rows(context, c_, angles, first, count, p.heads, dim, true, d);
    if (p.norm)
      p.norm.backward(context, p.low + first * width, dim, d, dim, count * p.heads, d, dim, false,
                      p.norm_sums.of(chunk));
    if (p.linear.bias() != nullptr)
      for (int64_t r = 0; r < count; ++r)
        context.kernels.add_scaled(1.0f, d + r * width, width, p.bias_sums.of(chunk));
    p.d_out.set_rows(context, first, count, d);
  }

  const ModelConfig& c_;
  CausalAttention attention_;
  Projection q_, k_, v_;
  Linear o_proj_;
};

}  // namespace

std::unique_ptr<AttentionLayer> make_attention(const ModelConfig& config, Parameters& parameters,
                                               const std::string& prefix) {
  if (config.is_mla()) return std::make_unique<MlaLayer>(config, parameters, prefix);
  return std::make_unique<DenseAttentionLayer>(config, parameters, prefix);
}

}  // namespace hadal::train
