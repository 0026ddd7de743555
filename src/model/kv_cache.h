// Storage of the attention cache in pages. A page holds page_tokens positions of one sequence, for
// every layer. MLA: [latent after its norm ; rotated key part], kv_lora + rope elements a position;
// dense: [keys of all kv heads ; values of all kv heads]. Who owns which page is infer's business.
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/config.h"
#include "quant/type.h"

namespace hadal::model {

// Bytes of an element of the cache.
inline int64_t element_bytes(quant::Type type) {
  return type == quant::Type::F32 ? 4 : 2;
}

class KvCache {
 public:
  static constexpr int64_t page_tokens = 64;

  // type: BF16, or F32 for exact comparisons. Memory is mapped lazily: pages that no sequence ever
  // used cost nothing. Throws Error(limit) naming the size if it cannot be had.
  KvCache(const ModelConfig& config, quant::Type type, int64_t pages);
  ~KvCache();
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  quant::Type type() const { return type_; }
  int64_t pages() const { return pages_; }
  // Elements between positions: a multiple of 32, so that whole tiles can be read. What stands
  // behind an entry is zero.
  int64_t width() const { return width_; }
  int64_t layers() const { return layers_; }  // MTP layers counted
  int64_t page_bytes() const { return layers_ * layer_page_bytes_; }
  // The same of a cache that is yet to be made.
  static int64_t page_bytes(const ModelConfig& config, quant::Type type);

  // Address of the first position of a page in a layer; positions are width() elements apart.
  // Neighbouring pages of a layer are neighbours in memory: where a sequence has them, its walk is
  // one stream, which is read a third faster than pieces of it.
  std::byte* page(int64_t layer, int64_t page) {
    return data_ + (layer * pages_ + page) * layer_page_bytes_;
  }
  const std::byte* page(int64_t layer, int64_t page) const {
    return data_ + (layer * pages_ + page) * layer_page_bytes_;
  }

 private:
  quant::Type type_;
  int64_t pages_, width_, layers_, layer_page_bytes_;
  std::byte* data_ = nullptr;
};

}  // namespace hadal::model
