#include "model/batch.h"

#include <algorithm>
#include <cstring>

#include "quant/format.h"

namespace hadal::model {

void Batch::set(const Context& context, std::span<const Segment> all, const Rope& rope) {
  segments = all;
  first_row.clear();
  positions.clear();
  segment_of.clear();
  for (size_t s = 0; s < all.size(); ++s) {
    const Segment& segment = all[s];
    const auto count = static_cast<int64_t>(segment.tokens.size());
    const int64_t covered = static_cast<int64_t>(segment.pages.size()) * KvCache::page_tokens;
    HADAL_CHECK(segment.start >= 0 && segment.start + count <= covered,
                "positions {} to {} in {} pages", segment.start, segment.start + count,
                segment.pages.size());
    first_row.push_back(rows());
    for (int64_t i = 0; i < count; ++i) {
      positions.push_back(segment.start + i);
      segment_of.push_back(static_cast<int32_t>(s));
    }
  }
  first_row.push_back(rows());
  angle_stride = rope.dim();
  float* out = angle_buffer_.get(rows() * angle_stride);
  context.pool.parallel_for(rows(), 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      rope.angles(positions[static_cast<size_t>(r)], out + r * angle_stride);
  });
  angles = out;
}

std::byte* Batch::cache_entry(KvCache& cache, int64_t layer, int64_t row) const {
  const Segment& segment = segments[static_cast<size_t>(segment_of[static_cast<size_t>(row)])];
  const int64_t position = positions[static_cast<size_t>(row)];
  const auto page = static_cast<size_t>(position / KvCache::page_tokens);
  return cache.page(layer, segment.pages[page]) +
         position % KvCache::page_tokens * cache.entry_bytes();
}

kernels::Rows page_rows(const KvCache& cache, int64_t layer, const Segment& segment,
                        int64_t page_index, int64_t offset, int64_t count) {
  const std::byte* page = cache.page(layer, segment.pages[static_cast<size_t>(page_index)]);
  return {cache.type(), page + offset * cache.entry_bytes() / cache.width(), count, cache.width()};
}

kernels::Rows bf16_rows(const kernels::Table& kernels, const KvCache& cache, int64_t layer,
                        const Segment& segment, int64_t page_index, int64_t count,
                        Buffer& storage) {
  if (cache.type() == quant::Type::BF16)
    return page_rows(cache, layer, segment, page_index, 0, count);
  const std::byte* page = cache.page(layer, segment.pages[static_cast<size_t>(page_index)]);
  const int64_t width = cache.width();
  auto* rows = reinterpret_cast<uint16_t*>(storage.bytes(2 * KvCache::page_tokens * width));
  kernels.q8_0_to_bf16(page, count * width, rows);
  return {quant::Type::BF16, rows, count, width};
}

void rotate(const kernels::Table& kernels, RopeLayout layout, float* x, const float* angles,
            int64_t n) {
  if (layout == RopeLayout::interleaved)
    kernels.rope_interleaved(x, angles, n);
  else
    kernels.rope_halves(x, angles, n);
}

void store(const kernels::Table& kernels, quant::Type type, const float* x, int64_t n,
           std::byte* out) {
  constexpr int64_t block = 32;
  float last[block] = {};
  switch (type) {
    case quant::Type::F32:
      std::memcpy(out, x, static_cast<size_t>(n) * sizeof(float));
      break;
    case quant::Type::Q8_0:
      quant::encode_row(type, x, out, n / block * block);
      if (n % block == 0) break;
      std::copy_n(x + n / block * block, n % block, last);
      quant::encode_row(type, last, out + quant::row_bytes(type, n / block * block), block);
      break;
    default:
      kernels.float_to_bf16(x, n, reinterpret_cast<uint16_t*>(out));
  }
}

}  // namespace hadal::model
