// Storage of the attention cache in pages. A page holds page_tokens positions of one sequence, for
// every layer. MLA: [latent after its norm ; rotated key part], kv_lora + rope elements a position;
// dense: [keys of all kv heads ; values of all kv heads]. Who owns which page is infer's business.
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/config.h"
#include "quant/type.h"

namespace hadal::model {

class KvCache {
 public:
  static constexpr int64_t page_tokens = 64;

  // type: BF16; F32 for exact comparisons; Q8_0, blocks of 32 elements in 8 bits, for MLA in native
  // precision (about half the memory). Memory is mapped lazily: pages that no sequence ever
  // used cost nothing. Throws Error(limit) naming the size if it cannot be had, and
  // Error(unsupported) for Q8_0 with dense attention.
  KvCache(const ModelConfig& config, quant::Type type, int64_t pages);
  ~KvCache();
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  quant::Type type() const { return type_; }
  int64_t pages() const { return pages_; }
  // Elements between positions: a multiple of 32, so that whole tiles can be read. What stands
  // behind an entry is zero.
  int64_t width() const { return width_; }
  int64_t entry_bytes() const { return entry_bytes_; }  // of a position in a layer
  int64_t layers() const { return layers_; }            // MTP layers counted
  int64_t page_bytes() const { return layers_ * layer_page_bytes_; }
  int64_t layer_page_bytes() const { return layer_page_bytes_; }
  // The same of a cache that is yet to be made.
  static int64_t page_bytes(const ModelConfig& config, quant::Type type);

  // Address of the first position of a page in a layer; positions are entry_bytes() apart.
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
  int64_t pages_, width_, layers_, entry_bytes_, layer_page_bytes_;
  std::byte* data_ = nullptr;
};

}  // namespace hadal::model
