#include "model/kv_cache.h"

#include <sys/mman.h>

#include "base/error.h"
#include "quant/format.h"

namespace hadal::model {
namespace {

int64_t stored_width(const ModelConfig& config) {
  return (config.cache_width() + 31) / 32 * 32;
}

int64_t stored_layers(const ModelConfig& config) {
  return config.layers + config.mtp_layers;
}

}  // namespace

int64_t KvCache::page_bytes(const ModelConfig& config, quant::Type type) {
  const auto entry = static_cast<int64_t>(quant::row_bytes(type, stored_width(config)));
  return stored_layers(config) * page_tokens * entry;
}

KvCache::KvCache(const ModelConfig& config, quant::Type type, int64_t pages)
    : type_(type),
      pages_(pages),
      width_(stored_width(config)),
      layers_(stored_layers(config)),
      entry_bytes_(static_cast<int64_t>(quant::row_bytes(type, width_))),
      layer_page_bytes_(page_tokens * entry_bytes_) {
  HADAL_CHECK(type == quant::Type::F32 || type == quant::Type::BF16 || type == quant::Type::Q8_0,
              "cache type");
  HADAL_CHECK(pages >= 1 && pages < (int64_t{1} << 31), "{} pages", pages);
  if (type == quant::Type::Q8_0 && !config.is_mla())
    fail(ErrorKind::unsupported,
         "an 8-bit cache is for latent attention; this model has dense "
         "attention: leave the cache in BF16");
  const auto bytes = static_cast<size_t>(pages_ * page_bytes());
  // Reserved, not committed: the system hands out zeroed pages as positions are first written.
  void* address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED)
    fail(ErrorKind::limit,
         "cannot reserve {} bytes for the attention cache ({} pages of {} tokens)", bytes, pages_,
         page_tokens);
  data_ = static_cast<std::byte*>(address);
  // A walk over a long context would outgrow the caches of page tables else; no matter if refused.
  ::madvise(address, bytes, MADV_HUGEPAGE);
}

KvCache::~KvCache() {
  ::munmap(data_, static_cast<size_t>(pages_ * page_bytes()));
}

}  // namespace hadal::model
