#include "train/attention.h"

#include <algorithm>
#include <cmath>

#include "train/profile.h"

namespace hadal::train {
namespace {

using quant::Type;

// Queries that meet their keys together: keys beyond the last of them are left out.
constexpr int64_t block = 64;
// Queries whose weights are kept together in the backward pass, so that the sums of keys and values
// are taken up and put down as rarely.
constexpr int64_t span = 512;
constexpr int64_t span_stride = span + 32;

Operand view(Type type, const void* data, int64_t stride, int64_t rows, int64_t cols) {
  return {type, data, stride, rows, cols};
}

// Panels of an operand's rows (b = x) or columns (b = x^T) in a buffer of this thread.
class Packed {
 public:
  const Panels& rows(const Context& context, const Operand& x) {
    start(x.type, x.rows, x.cols);
    context.kernels.pack_rows({x, data_, panels_.stride});
    return panels_;
  }
  const Panels& columns(const Context& context, const Operand& x) {
    start(x.type, x.cols, x.rows);
    context.kernels.pack_columns({x, data_, panels_.stride});
    return panels_;
  }
  // With the first `count` of the columns alone.
  Panels first(int64_t count) const { return {panels_.data, panels_.stride, panels_.k, count}; }
  const Panels& all() const { return panels_; }

 private:
  void start(Type type, int64_t k, int64_t cols) {
    data_ = storage_.bytes(kernels::panels_bytes(type, k, cols));
    panels_ = {data_, kernels::panel_bytes(type, k), k, cols};
  }
  Buffer storage_;
  std::byte* data_ = nullptr;
  Panels panels_;
};

// Floats [rows, stride] as operands: themselves, or rounded into a buffer.
const void* operands(const Context& context, Type type, const float* x, int64_t count,
                     Buffer& storage) {
  if (type == Type::F32) return x;
  std::byte* out = storage.bytes(2 * count);
  context.kernels.float_to_bf16(x, count, reinterpret_cast<uint16_t*>(out));
  return out;
}

// What a thread needs for a head of a document.
struct Head {
  Packed k, v, q_columns, q_rows, d_o_columns, d_o_rows;
  Buffer scores, derivatives, weights, score_derivatives, transposed, out;
};
Head& head_of_thread() {
  static thread_local Head head;
  return head;
}

// Scores s [rows, stride] of queries, of which row r sees the first seen + r keys, to weights
// before division by their sum; zeros behind them.
void weigh(const Context& context, float* s, int64_t rows, int64_t stride, int64_t seen,
           float scale, float* log_sums, float* inverses) {
  for (int64_t r = 0; r < rows; ++r) {
    float* row = s + r * stride;
    float top = 0;
    const float sum = context.kernels.softmax_scaled(row, seen + r, scale, &top);
    std::fill(row + seen + r, row + stride, 0.0f);
    log_sums[r] = top + std::log(sum);
    inverses[r] = 1.0f / sum;
  }
}

}  // namespace

void CausalAttention::forward(const Context& context, const Batch& batch, const AttentionInputs& in,
                              const OperandRows& o, float* log_sums) const {
  const Timed timed(Part::attention_forward);
  const int64_t documents = static_cast<int64_t>(batch.documents.size()) - 1;
  const int64_t heads = shape_.heads, key = shape_.key, value = shape_.value;
  const Type type = o.type();
  context.pool.parallel_for(documents * heads, 1, [&](int64_t begin, int64_t end, int) {
    Head& s = head_of_thread();
    for (int64_t task = begin; task < end; ++task) {
      const auto document = static_cast<size_t>(task / heads);
      const int64_t first = batch.documents[document];
      const int64_t n = batch.documents[document + 1] - first;
      const int64_t h = task % heads, kv = h / (heads / shape_.kv_heads);
      s.k.columns(context, in.k.part(first, n, kv * key, key));
      const Panels& v = s.v.rows(context, in.v.part(first, n, kv * value, value));
      for (int64_t i = 0; i < n; i += block) {
        const int64_t rows = std::min(block, n - i), keys = i + rows, stride = row_stride(keys);
        float* scores = s.scores.get(rows * stride);
        product(context, in.q.part(first + i, rows, h * key, key), s.k.first(keys), scores, stride);
        float inverses[block];
        weigh(context, scores, rows, stride, i + 1, shape_.scale,
              log_sums + h * batch.rows() + first + i, inverses);
        const void* p = operands(context, type, scores, rows * stride, s.weights);
        float* out = s.out.get(rows * value);
        product(context, view(type, p, stride, rows, keys), v, out, value);
        for (int64_t r = 0; r < rows; ++r) {
          float* row = out + r * value;
          context.kernels.scale(inverses[r], row, value, row);
          o.set(context, first + i + r, h * value, row, value);
        }
      }
    }
  });
}

namespace {

// One head of a document in the backward pass. Scores stand with a key in each row: their
// transposed forms P^T and dS^T are then operands as they are.
struct BackwardTask {
  const Context& context;
  const AttentionShape& shape;
  Operand q, k, v, d_o;  // of the document
  const float* log_sums;
  const float* deltas;
  float *dq, *dk, *dv;
  int64_t q_stride, k_stride, v_stride;

  Operand rows_of(const Operand& x, int64_t first, int64_t count) const {
    const auto* data =
        static_cast<const std::byte*>(x.data) + first * x.stride * operand_bytes(x.type);
    return view(x.type, data, x.stride, count, x.cols);
  }

  // P^T and dS^T of queries [i, i + rows) with the keys up to them, as columns of operands p and
  // ds: dP = dO V^T, dS = P (dP - delta) scale.
  void weigh(int64_t i, int64_t rows, Head& s, std::byte* p, std::byte* ds) const {
    const int64_t keys = i + rows, bytes = operand_bytes(q.type);
    float* scores = s.scores.get(keys * block);
    float* derivatives = s.derivatives.get(keys * block);
    product(context, rows_of(k, 0, keys), s.q_columns.columns(context, rows_of(q, i, rows)), scores,
            block);
    product(context, rows_of(v, 0, keys), s.d_o_columns.columns(context, rows_of(d_o, i, rows)),
            derivatives, block);
    for (int64_t j = 0; j < keys; ++j) {
      float* pj = scores + j * block;
      float* dsj = derivatives + j * block;
      context.kernels.score_derivatives(pj, dsj, rows, shape.scale, log_sums + i, deltas + i);
      const int64_t blind = std::max<int64_t>(0, j - i);  // queries before this key
      std::fill_n(pj, blind, 0.0f);
      std::fill_n(dsj, blind, 0.0f);
      std::fill(pj + rows, pj + block, 0.0f);
      std::fill(dsj + rows, dsj + block, 0.0f);
      to_operand(context, q.type, pj, block, p + j * span_stride * bytes);
      to_operand(context, q.type, dsj, block, ds + j * span_stride * bytes);
    }
  }

  // Sums [keys, panels.cols] += weights [keys, queries] times panels of the queries from `first`
  // on; keys after a query have no weight for it.
  void add_keys(const std::byte* weights, int64_t first, int64_t count, const Panels& panels,
                float* sums, int64_t stride) const {
    const auto add = [&](int64_t key, int64_t keys, int64_t unseeing) {
      const std::byte* from = weights + (key * span_stride + unseeing) * operand_bytes(q.type);
      product(context, view(q.type, from, span_stride, keys, count - unseeing),
              {panels.data + kernels::panel_bytes(q.type, unseeing), panels.stride,
               panels.k - unseeing, panels.cols},
              sums + key * stride, stride, true);
    };
    if (first > 0) add(0, first, 0);
    for (int64_t j = 0; j < count; j += block) add(first + j, std::min(block, count - j), j);
  }

  // Queries [first, first + count): dV += P^T dO, dQ = dS K, dK += dS^T Q. k_rows: panels of K.
  void run(int64_t first, int64_t count, const Panels& k_rows, Head& s) const {
    const int64_t keys = first + count, bytes = operand_bytes(q.type);
    std::byte* p = s.weights.bytes(keys * span_stride * bytes);
    std::byte* ds = s.score_derivatives.bytes(keys * span_stride * bytes);
    for (int64_t i = first; i < keys; i += block) {
      const int64_t rows = std::min(block, keys - i), at = (i - first) * bytes;
      weigh(i, rows, s, p + at, ds + at);
      const int64_t seen = i + rows, stride = row_stride(seen);
      std::byte* transposed = s.transposed.bytes(rows * stride * bytes);
      context.kernels.transpose(
          {view(q.type, ds + at, span_stride, seen, rows), transposed, stride});
      product(context, view(q.type, transposed, stride, rows, seen), k_rows, dq + i * q_stride,
              q_stride);
    }
    add_keys(p, first, count, s.d_o_rows.rows(context, rows_of(d_o, first, count)), dv, v_stride);
    add_keys(ds, first, count, s.q_rows.rows(context, rows_of(q, first, count)), dk, k_stride);
  }
};

void clear(float* x, int64_t rows, int64_t cols, int64_t stride) {
  for (int64_t r = 0; r < rows; ++r) std::fill_n(x + r * stride, cols, 0.0f);
}

}  // namespace

// A task is a document and a head of keys with all heads that share it.
void CausalAttention::backward(const Context& context, const Batch& batch,
                               const AttentionInputs& in, const AttentionState& state,
                               const OperandRows& d_o, float* dq, float* dk, float* dv) const {
  const Timed timed(Part::attention_backward);
  const int64_t documents = static_cast<int64_t>(batch.documents.size()) - 1;
  const int64_t heads = shape_.heads, kv_heads = shape_.kv_heads, shared = heads / kv_heads;
  const int64_t key = shape_.key, value = shape_.value;
  const int64_t q_stride = heads * key, k_stride = kv_heads * key, v_stride = kv_heads * value;
  context.pool.parallel_for(documents * kv_heads, 1, [&](int64_t begin, int64_t end, int) {
    Head& s = head_of_thread();
    for (int64_t task = begin; task < end; ++task) {
      const auto document = static_cast<size_t>(task / kv_heads);
      const int64_t first = batch.documents[document];
      const int64_t n = batch.documents[document + 1] - first;
      const int64_t kv = task % kv_heads;
      const Operand k = in.k.part(first, n, kv * key, key);
      const Operand v = in.v.part(first, n, kv * value, value);
      float* dk_rows = dk + first * k_stride + kv * key;
      float* dv_rows = dv + first * v_stride + kv * value;
      clear(dk_rows, n, key, k_stride);
      clear(dv_rows, n, value, v_stride);
      const Panels& k_rows = s.k.rows(context, k);
      for (int64_t h = kv * shared; h < (kv + 1) * shared; ++h) {
        const int64_t at = h * batch.rows() + first;
        const BackwardTask one{context,
                               shape_,
                               in.q.part(first, n, h * key, key),
                               k,
                               v,
                               d_o.part(first, n, h * value, value),
                               state.log_sums + at,
                               state.deltas + at,
                               dq + first * q_stride + h * key,
                               dk_rows,
                               dv_rows,
                               q_stride,
                               k_stride,
                               v_stride};
        for (int64_t i = 0; i < n; i += span) one.run(i, std::min(span, n - i), k_rows, s);
      }
    }
  });
}

}  // namespace hadal::train
