// The rows of one forward call: which segment and position each has, and its rotary angles.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/buffer.h"
#include "model/linear.h"
#include "model/rope.h"

namespace hadal::model {

struct Batch {
  std::span<const Segment> segments;
  std::vector<int64_t> first_row;   // [segments + 1]: first row of each segment, then the count
  std::vector<int64_t> positions;   // [rows]
  std::vector<int32_t> segment_of;  // [rows]
  const float* angles = nullptr;    // [rows, rope dim]: cos, sin of each pair
  int64_t angle_stride = 0;         // rope dim

  int64_t rows() const { return static_cast<int64_t>(positions.size()); }

  void set(const Context& context, std::span<const Segment> all, const Rope& rope);

  // Where the cache holds the entry of a row in a layer.
  std::byte* cache_entry(KvCache& cache, int64_t layer, int64_t row) const;

 private:
  Buffer angle_buffer_;
};

// Key or value rows of a page of a segment as the kernels want them: `count` positions from the
// page's first, starting at element `offset` of each entry.
kernels::Rows page_rows(const KvCache& cache, int64_t layer, const Segment& segment,
                        int64_t page_index, int64_t offset, int64_t count);

// All elements of the first `count` entries of a page in BF16: as they lie, or decoded to
// `storage`.
kernels::Rows bf16_rows(const kernels::Table& kernels, const KvCache& cache, int64_t layer,
                        const Segment& segment, int64_t page_index, int64_t count, Buffer& storage);

// Rotates x, n elements, by the angles of its row.
void rotate(const kernels::Table& kernels, RopeLayout layout, float* x, const float* angles,
            int64_t n);

// Writes n floats to the cache in its own type.
void store(const kernels::Table& kernels, quant::Type type, const float* x, int64_t n,
           std::byte* out);

}  // namespace hadal::model
