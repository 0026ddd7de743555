#include "train/attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/exp.h"
#include "train/profile.h"

namespace hadal::train {
namespace {

using kernels::Matrix;

// Queries that meet their keys together: keys beyond the last of them are left out.
constexpr int64_t block = 128;

int64_t bytes_of(quant::Type type) {
  return type == quant::Type::BF16 ? 2 : 4;
}

int64_t padded(int64_t n) {
  return (n + 31) / 32 * 32;
}

// A matrix of operands [rows, cols], made of floats that lie in_stride apart.
class Operand {
 public:
  void copy(const Context& context, const float* in, int64_t in_stride, int64_t rows,
            int64_t cols) {
    start(context, rows, cols);
    for (int64_t r = 0; r < rows; ++r) {
      const float* from = in + r * in_stride;
      if (type_ == quant::Type::BF16)
        context.kernels.float_to_bf16(from, cols, reinterpret_cast<uint16_t*>(row(r)));
      else
        std::copy_n(from, cols, reinterpret_cast<float*>(row(r)));
    }
  }
  void transpose(const Context& context, const float* in, int64_t in_stride, int64_t rows,
                 int64_t cols) {
    start(context, cols, rows);
    train::transpose(context, in, in_stride, rows, cols, data_, stride_);
  }

  // Rows [0, rows) and columns [first, first + cols) as a matrix to multiply with.
  Matrix matrix(int64_t rows, int64_t first, int64_t cols) const {
    return {type_, data_ + first * bytes_of(type_), rows, cols, stride_ * bytes_of(type_), nullptr,
            0};
  }
  std::byte* row(int64_t r) const { return data_ + r * stride_ * bytes_of(type_); }
  int64_t row_bytes() const { return stride_ * bytes_of(type_); }

 private:
  void start(const Context& context, int64_t rows, int64_t cols) {
    type_ = operand_type(context);
    stride_ = padded(cols);
    data_ = storage_.bytes(rows * stride_ * bytes_of(type_));
    if (stride_ == cols) return;
    for (int64_t r = 0; r < rows; ++r)  // rows as activations end in zeros
      std::fill(row(r) + cols * bytes_of(type_), row(r + 1), std::byte{0});
  }

  quant::Type type_ = quant::Type::F32;
  Buffer storage_;
  std::byte* data_ = nullptr;
  int64_t stride_ = 0;
};

// y [n, w.rows] = x [n, w.cols] w^T on this thread alone.
void product(const Context& context, const Matrix& w, const std::byte* x, int64_t x_stride,
             int64_t n, float* y) {
  context.kernels.matmul(
      {&w, 0, w.rows, model::activation_for(context.precision, w.type), x, x_stride, n, y, w.rows});
}

// Row i of scores [n, keys]: key j is seen if j <= first + i.
int64_t seen(int64_t first, int64_t i) {
  return first + i + 1;
}

}  // namespace

// What one thread needs for one head of one document.
struct CausalAttention::Head {
  Operand q, k, v, kt, vt, qt, d_o, d_ot, p, pt, ds, dst;
  Buffer scores_buffer, dp_buffer, out_buffer;
};

void CausalAttention::forward(const Context& context, const Batch& batch, const float* q,
                              const float* k, const float* v, float* o, float* log_sums) const {
  const Timed timed(Part::attention_forward);
  const int64_t documents = static_cast<int64_t>(batch.documents.size()) - 1;
  const int64_t heads = shape_.heads;
  const int64_t q_stride = heads * shape_.key, o_stride = heads * shape_.value;
  const int64_t k_stride = shape_.kv_heads * shape_.key, v_stride = shape_.kv_heads * shape_.value;
  std::vector<Head> scratch(static_cast<size_t>(context.pool.threads()));
  context.pool.parallel_for(documents * heads, 1, [&](int64_t begin, int64_t end, int thread) {
    Head& s = scratch[static_cast<size_t>(thread)];
    for (int64_t task = begin; task < end; ++task) {
      const auto document = static_cast<size_t>(task / heads);
      const int64_t first = batch.documents[document];
      const int64_t n = batch.documents[document + 1] - first;
      const int64_t h = task % heads, kv = h / (heads / shape_.kv_heads);
      s.k.copy(context, k + first * k_stride + kv * shape_.key, k_stride, n, shape_.key);
      s.vt.transpose(context, v + first * v_stride + kv * shape_.value, v_stride, n, shape_.value);
      for (int64_t i = 0; i < n; i += block) {
        const int64_t rows = std::min(block, n - i), keys = i + rows;
        s.q.copy(context, q + (first + i) * q_stride + h * shape_.key, q_stride, rows, shape_.key);
        float* scores = s.scores_buffer.get(rows * keys);
        product(context, s.k.matrix(keys, 0, shape_.key), s.q.row(0), s.q.row_bytes(), rows,
                scores);
        for (int64_t r = 0; r < rows; ++r) {
          float* row = scores + r * keys;
          const int64_t count = seen(i, r);
          float top = row[0] *= shape_.scale;
          for (int64_t j = 1; j < count; ++j) top = std::max(top, row[j] *= shape_.scale);
          const float sum = context.kernels.softmax(row, count);
          const float inverse = 1.0f / sum;
          for (int64_t j = 0; j < count; ++j) row[j] *= inverse;
          std::fill(row + count, row + keys, 0.0f);
          log_sums[(first + i + r) * heads + h] = top + std::log(sum);
        }
        s.p.copy(context, scores, keys, rows, keys);
        float* out = s.out_buffer.get(rows * shape_.value);
        product(context, s.vt.matrix(shape_.value, 0, keys), s.p.row(0), s.p.row_bytes(), rows,
                out);
        for (int64_t r = 0; r < rows; ++r)
          std::copy_n(out + r * shape_.value, shape_.value,
                      o + (first + i + r) * o_stride + h * shape_.value);
      }
    }
  });
}

// Rows i ... i + rows of a document that begins at row `first`: scores p [rows, keys] become
// weights, and dp, the derivatives of the weights, those of the scores.
void CausalAttention::score_derivatives(int64_t first, int64_t i, int64_t rows, int64_t head,
                                        const float* log_sums, const float* d_o, const float* o,
                                        float* p, float* dp) const {
  const int64_t heads = shape_.heads, value = shape_.value, keys = i + rows;
  for (int64_t r = 0; r < rows; ++r) {
    float* pr = p + r * keys;
    float* dpr = dp + r * keys;
    const int64_t at = ((first + i + r) * heads + head) * value;
    float d = 0.0f;
    for (int64_t c = 0; c < value; ++c) d += d_o[at + c] * o[at + c];
    const float log_sum = log_sums[(first + i + r) * heads + head];
    const int64_t count = seen(i, r);
    for (int64_t j = 0; j < count; ++j) {
      pr[j] = kernels::exp_f32(pr[j] * shape_.scale - log_sum);
      dpr[j] = pr[j] * (dpr[j] - d) * shape_.scale;
    }
    std::fill(pr + count, pr + keys, 0.0f);
    std::fill(dpr + count, dpr + keys, 0.0f);
  }
}

// With P the weights and D_i = do_i . o_i: dV = P^T dO, dP = dO V^T, dS = P (dP - D) scale,
// dQ = dS K, dK = dS^T Q. A task is a document and a head of keys with all heads that share it.
void CausalAttention::backward(const Context& context, const Batch& batch, const float* q,
                               const float* k, const float* v, const float* o,
                               const float* log_sums, const float* d_o, float* dq, float* dk,
                               float* dv) const {
  const Timed timed(Part::attention_backward);
  const int64_t documents = static_cast<int64_t>(batch.documents.size()) - 1;
  const int64_t heads = shape_.heads, kv_heads = shape_.kv_heads, shared = heads / kv_heads;
  const int64_t key = shape_.key, value = shape_.value;
  const int64_t q_stride = heads * key, o_stride = heads * value;
  const int64_t k_stride = kv_heads * key, v_stride = kv_heads * value;
  std::vector<Head> scratch(static_cast<size_t>(context.pool.threads()));
  context.pool.parallel_for(documents * kv_heads, 1, [&](int64_t begin, int64_t end, int thread) {
    Head& s = scratch[static_cast<size_t>(thread)];
    for (int64_t task = begin; task < end; ++task) {
      const auto document = static_cast<size_t>(task / kv_heads);
      const int64_t first = batch.documents[document];
      const int64_t n = batch.documents[document + 1] - first;
      const int64_t kv = task % kv_heads;
      const auto add_rows = [&](const float* from, int64_t width, int64_t rows, float* to,
                                int64_t stride) {
        for (int64_t r = 0; r < rows; ++r)
          context.kernels.add_scaled(1.0f, from + r * width, width, to + r * stride);
      };
      float* dk_rows = dk + first * k_stride + kv * key;
      float* dv_rows = dv + first * v_stride + kv * value;
      for (int64_t r = 0; r < n; ++r) {
        std::fill_n(dk_rows + r * k_stride, key, 0.0f);
        std::fill_n(dv_rows + r * v_stride, value, 0.0f);
      }
      const float* k_rows = k + first * k_stride + kv * key;
      s.k.copy(context, k_rows, k_stride, n, key);
      s.kt.transpose(context, k_rows, k_stride, n, key);
      s.v.copy(context, v + first * v_stride + kv * value, v_stride, n, value);
      for (int64_t h = kv * shared; h < (kv + 1) * shared; ++h) {
        for (int64_t i = 0; i < n; i += block) {
          const int64_t rows = std::min(block, n - i), keys = i + rows, at = first + i;
          const float* q_rows = q + at * q_stride + h * key;
          const float* d_o_rows = d_o + at * o_stride + h * value;
          s.q.copy(context, q_rows, q_stride, rows, key);
          s.qt.transpose(context, q_rows, q_stride, rows, key);
          s.d_o.copy(context, d_o_rows, o_stride, rows, value);
          s.d_ot.transpose(context, d_o_rows, o_stride, rows, value);
          float* p = s.scores_buffer.get(rows * keys);
          float* dp = s.dp_buffer.get(rows * keys);
          product(context, s.k.matrix(keys, 0, key), s.q.row(0), s.q.row_bytes(), rows, p);
          product(context, s.v.matrix(keys, 0, value), s.d_o.row(0), s.d_o.row_bytes(), rows, dp);
          score_derivatives(first, i, rows, h, log_sums, d_o, o, p, dp);
          s.ds.copy(context, dp, keys, rows, keys);
          s.dst.transpose(context, dp, keys, rows, keys);
          s.pt.transpose(context, p, keys, rows, keys);
          float* out = s.out_buffer.get(std::max(rows, keys) * std::max(key, value));
          product(context, s.kt.matrix(key, 0, keys), s.ds.row(0), s.ds.row_bytes(), rows, out);
          for (int64_t r = 0; r < rows; ++r)
            std::copy_n(out + r * key, key, dq + (at + r) * q_stride + h * key);
          product(context, s.qt.matrix(key, 0, rows), s.dst.row(0), s.dst.row_bytes(), keys, out);
          add_rows(out, key, keys, dk_rows, k_stride);
          product(context, s.d_ot.matrix(value, 0, rows), s.pt.row(0), s.pt.row_bytes(), keys, out);
          add_rows(out, value, keys, dv_rows, v_stride);
        }
      }
    }
  });
}

}  // namespace hadal::train
