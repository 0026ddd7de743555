#include "format/tensor_pump.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "quant/format.h"

namespace hadal::format {
namespace {

constexpr size_t piece_bytes = size_t{8} << 20;      // what is written at a time
constexpr int64_t batch_weights = int64_t{1} << 22;  // what is encoded before it is written
constexpr int64_t item_weights = int64_t{1} << 15;   // what a thread takes at a time

float largest(quant::Type type) {
  return type == quant::Type::F16 ? 65504.0f : std::numeric_limits<float>::max();
}

bool fits(const float* x, int64_t n, float limit) {
  bool good = true;
  for (int64_t i = 0; i < n; ++i) good &= std::fabs(x[i]) <= limit;  // false for NaN
  return good;
}

}  // namespace

void TensorPump::move(const PlannedTensor& tensor, quant::Type to) {
  const size_t row_bytes = quant::row_bytes(to, tensor.rows->cols());
  if (tensor.rows->type() == to && tensor.rows->stored(0)) {
    copy(*tensor.rows, row_bytes);
  } else {
    encode(tensor, to, row_bytes);
  }
}

void TensorPump::put(const void* data, size_t bytes) {
  sink_(data, bytes);
  done_ += bytes;
  if (progress_) progress_(done_, total_);
}

void TensorPump::copy(const Rows& rows, size_t row_bytes) {
  for (int64_t row = 0; row < rows.rows();) {
    // As many rows as lie one after the other.
    const std::byte* begin = rows.stored(row);
    size_t bytes = row_bytes;
    ++row;
    while (row < rows.rows() && bytes < piece_bytes && rows.stored(row) == begin + bytes) {
      bytes += row_bytes;
      ++row;
    }
    put(begin, bytes);
  }
}

void TensorPump::encode(const PlannedTensor& tensor, quant::Type to, size_t row_bytes) {
  const Rows& rows = *tensor.rows;
  const int64_t granule = rows.granule(), cols = rows.cols();
  const int64_t granules = rows.rows() / granule;
  const int64_t batch = std::max<int64_t>(1, batch_weights / (granule * cols));
  const int64_t grain = std::max<int64_t>(1, item_weights / (granule * cols));
  std::vector<std::vector<float>> scratch(static_cast<size_t>(pool_.threads()));
  std::atomic<bool> good{true};
  for (int64_t first = 0; first < granules; first += batch) {
    const int64_t count = std::min(batch, granules - first);
    encoded_.resize(static_cast<size_t>(count * granule) * row_bytes);
    pool_.parallel_for(count, grain, [&](int64_t begin, int64_t end, int thread) {
      std::vector<float>& floats = scratch[static_cast<size_t>(thread)];
      floats.resize(static_cast<size_t>(granule * cols));
      for (int64_t g = begin; g < end; ++g) {
        rows.decode((first + g) * granule, granule, floats.data());
        if (!fits(floats.data(), granule * cols, largest(to))) {
          good = false;
          return;
        }
        std::byte* out = encoded_.data() + static_cast<size_t>(g * granule) * row_bytes;
        for (int64_t r = 0; r < granule; ++r, out += row_bytes) {
          quant::encode_row(to, floats.data() + r * cols, out, cols);
        }
      }
    });
    if (!good) {
      fail(ErrorKind::format, "tensor {} holds weights that are not finite{}", tensor.name,
           to == quant::Type::F16 ? " or exceed F16's largest, 65504; BF16 would hold them" : "");
    }
    put(encoded_.data(), encoded_.size());
  }
}

}  // namespace hadal::format
