#include "format/rows.h"

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "quant/format.h"

namespace hadal::format {
namespace {

using model::Matrix;
using quant::Type;

bool is_float(Type type) {
  return type == Type::F32 || type == Type::F16 || type == Type::BF16;
}

// The type of rows that are computed from a matrix.
Type computed_type(const Matrix& from) {
  return is_float(from.type) ? from.type : Type::BF16;
}

const std::byte* row_of(const Matrix& m, int64_t row) {
  return static_cast<const std::byte*>(m.data) + row * m.row_bytes;
}

void decode_matrix_row(const Matrix& m, int64_t row, float* out) {
  constexpr int64_t tile = 128;
  quant::decode_row(m.type, row_of(m, row), out, m.cols);
  if (!m.scales) return;
  const float* scales = m.scales + row / tile * m.scale_stride;
  for (int64_t c = 0; c < m.cols; ++c) out[c] *= scales[c / tile];
}

// Rows of equal matrices, one after the other, in an order of their own.
class MappedRows : public Rows {
 public:
  using Source = std::function<int64_t(int64_t row)>;

  // source: the row among all rows of the parts; null for the same.
  MappedRows(std::vector<Matrix> parts, int64_t rows, Source source)
      : Rows(rows, parts[0].cols, stored_type(parts)),
        parts_(std::move(parts)),
        source_(std::move(source)),
        stored_(parts_[0].type == type() && !parts_[0].scales) {}

  void decode(int64_t first, int64_t count, float* out) const override {
    for (int64_t row = first; row < first + count; ++row, out += cols()) {
      const int64_t from = source_ ? source_(row) : row;
      decode_matrix_row(part_of(from), from % parts_[0].rows, out);
    }
  }

  const std::byte* stored(int64_t row) const override {
    if (!stored_) return nullptr;
    const int64_t from = source_ ? source_(row) : row;
    return row_of(part_of(from), from % parts_[0].rows);
  }

 private:
  // Parts of different types (FP8 among them) are brought to BF16, or to F32 if one is F32.
  static Type stored_type(const std::vector<Matrix>& parts) {
    bool same = parts[0].type != Type::FP8_E4M3, has_f32 = false;
    for (const Matrix& part : parts) {
      same = same && part.type == parts[0].type;
      has_f32 = has_f32 || part.type == Type::F32;
    }
    return same ? parts[0].type : has_f32 ? Type::F32 : Type::BF16;
  }

  const Matrix& part_of(int64_t row) const {
    return parts_[static_cast<size_t>(row / parts_[0].rows)];
  }

  std::vector<Matrix> parts_;
  Source source_;
  bool stored_;
};

class FloatRows : public Rows {
 public:
  FloatRows(const std::vector<float>& values, int64_t cols)
      : Rows(static_cast<int64_t>(values.size()) / cols, cols, Type::F32), values_(values) {}

  void decode(int64_t first, int64_t count, float* out) const override {
    std::copy_n(values_.begin() + first * cols(), count * cols(), out);
  }

 private:
  std::vector<float> values_;
};

// Row (head, r) holds element r of the head's key rows.
class KeyRows : public Rows {
 public:
  KeyRows(const Matrix& kv_b, const UpShape& s)
      : Rows(s.heads * s.rank, s.nope, computed_type(kv_b)), kv_b_(kv_b), s_(s) {}

  int64_t granule() const override { return s_.rank; }

  void decode(int64_t first, int64_t count, float* out) const override {
    std::vector<float> row(static_cast<size_t>(s_.rank));
    for (int64_t head = first / s_.rank; head < (first + count) / s_.rank; ++head) {
      for (int64_t n = 0; n < s_.nope; ++n) {
        decode_matrix_row(kv_b_, head * (s_.nope + s_.value) + n, row.data());
        for (int64_t r = 0; r < s_.rank; ++r) out[r * s_.nope + n] = row[static_cast<size_t>(r)];
      }
      out += s_.rank * s_.nope;
    }
  }

 private:
  Matrix kv_b_;
  UpShape s_;
};

class JoinedRows : public Rows {
 public:
  JoinedRows(const Matrix& k_b, const Matrix& v_b, const UpShape& s)
      : Rows(s.heads * (s.nope + s.value), s.rank,
             k_b.type == v_b.type ? computed_type(k_b) : Type::BF16),
        k_b_(k_b),
        v_b_(v_b),
        s_(s) {}

  int64_t granule() const override { return s_.nope + s_.value; }

  void decode(int64_t first, int64_t count, float* out) const override {
    std::vector<float> row(static_cast<size_t>(s_.nope));
    for (int64_t head = first / granule(); head < (first + count) / granule(); ++head) {
      for (int64_t r = 0; r < s_.rank; ++r) {
        decode_matrix_row(k_b_, head * s_.rank + r, row.data());
        for (int64_t n = 0; n < s_.nope; ++n) out[n * s_.rank + r] = row[static_cast<size_t>(n)];
      }
      out += s_.nope * s_.rank;
      for (int64_t v = 0; v < s_.value; ++v, out += s_.rank) {
        decode_matrix_row(v_b_, head * s_.value + v, out);
      }
    }
  }

 private:
  Matrix k_b_, v_b_;
  UpShape s_;
};

}  // namespace

std::unique_ptr<Rows> stacked_rows(std::vector<Matrix> parts, RowOrder order, int64_t head_dim) {
  HADAL_CHECK(!parts.empty() && parts[0].data, "a tensor without rows");
  const int64_t rows = static_cast<int64_t>(parts.size()) * parts[0].rows, half = head_dim / 2;
  MappedRows::Source source;
  if (order != RowOrder::as_is) {
    source = [order, head_dim, half](int64_t row) {
      const int64_t head = row / head_dim * head_dim, r = row - head;
      if (order == RowOrder::to_pairs) return head + r % 2 * half + r / 2;
      return head + r % half * 2 + r / half;
    };
  }
  return std::make_unique<MappedRows>(std::move(parts), rows, std::move(source));
}

std::unique_ptr<Rows> float_rows(const std::vector<float>& values, int64_t cols) {
  return std::make_unique<FloatRows>(values, cols);
}

std::unique_ptr<Rows> keys_of(const Matrix& kv_b, const UpShape& shape) {
  return std::make_unique<KeyRows>(kv_b, shape);
}

std::unique_ptr<Rows> values_of(const Matrix& kv_b, const UpShape& s) {
  return std::make_unique<MappedRows>(std::vector{kv_b}, s.heads * s.value, [s](int64_t row) {
    return row / s.value * (s.nope + s.value) + s.nope + row % s.value;
  });
}

std::unique_ptr<Rows> joined_up(const Matrix& k_b, const Matrix& v_b, const UpShape& shape) {
  return std::make_unique<JoinedRows>(k_b, v_b, shape);
}

}  // namespace hadal::format
