// Any bytes as a token store: refused with an Error, or every token, border and batch of it is in
// bounds. An odd first byte has the hashes put right, so that the checks behind them are reached.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <xxhash.h>

#include "base/error.h"
#include "data/stream.h"
#include "fuzz/memory_file.h"

namespace {

using namespace hadal::data;

constexpr size_t header_bytes = 80;  // token_store.cc
constexpr size_t content_hash_at = 56, header_hash_at = 72;

void set_hash(std::vector<uint8_t>& file, size_t at, const uint8_t* data, size_t size) {
  const uint64_t hash = XXH3_64bits(data, size);
  std::memcpy(file.data() + at, &hash, sizeof hash);
}

void require(bool good) {
  if (!good) std::abort();
}

void walk(const TokenStore& store) {
  for (int64_t d = 0; d < store.documents(); ++d) {
    require(store.begin(d) < store.begin(d + 1));
    for (int64_t i = store.begin(d); i < store.begin(d + 1); ++i) {
      (void)store.learnt(i);
      require(store.token(i) >= 0 && store.token(i) < store.vocabulary().size);
    }
  }
  require(store.begin(store.documents()) == store.tokens());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::vector<uint8_t> file(data + 1, data + size);
  if (data[0] % 2 == 1 && file.size() >= header_bytes) {
    set_hash(file, content_hash_at, file.data() + header_bytes, file.size() - header_bytes);
    set_hash(file, header_hash_at, file.data(), header_hash_at);
  }
  const std::string path = hadal::fuzz::memory_file(file.data(), file.size());
  try {
    walk(TokenStore(path));
    const Stream stream({.sources = {{path}}, .rows = 3, .length = 2 + data[0] / 2});
    const Batch batch = stream.batch(data[0]);
    for (size_t i = 0; i < batch.tokens.size(); ++i) {
      require(batch.tokens[i] >= 0 && batch.tokens[i] < stream.vocabulary().size);
      require(batch.targets[i] >= -1 && batch.targets[i] < stream.vocabulary().size);
    }
    require(batch.documents.back() == batch.rows());
  } catch (const hadal::Error&) {  // NOLINT(bugprone-empty-catch): refusing is right
  }
  return 0;
}
