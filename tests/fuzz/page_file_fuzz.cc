// Any bytes as a page of the cache on disk: refused with an Error, or exactly what was written
// under that key. The first byte says how much of the form is put right before it is read, so that
// the checks behind the checksum are reached, too.
#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "infer/page_file.h"

namespace {

using namespace hadal::infer;

bool read(std::span<const std::byte> file, const PageKey& key, std::vector<std::byte>& content) {
  try {
    const std::span<const std::byte> found = read_page_file(file, key);
    content.assign(found.begin(), found.end());
    return true;
  } catch (const hadal::Error&) {
    return false;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const uint8_t how = data[0];
  const std::span<const std::byte> rest(reinterpret_cast<const std::byte*>(data + 1), size - 1);
  const std::string_view name(reinterpret_cast<const char*>(rest.data()), rest.size());
  const PageKey key = root_page_key(rest.first(std::min<size_t>(rest.size(), 4)), "", how);
  // As a name: only what we would call a page.
  if (const auto named = parse_page_file_name(name); named && page_file_name(*named) != name)
    std::abort();
  // As a file.
  std::vector<std::byte> content;
  if (read(rest, key, content)) {
    const PageFileEnds ends = page_file_ends(key, content);
    if (!std::equal(ends.front.begin(), ends.front.end(), rest.begin()) ||
        !std::equal(ends.back.begin(), ends.back.end(), rest.end() - 16))
      std::abort();
  }
  // As a content, written and then changed in one place.
  const PageFileEnds ends = page_file_ends(key, rest);
  std::vector<std::byte> file(ends.front.begin(), ends.front.end());
  file.insert(file.end(), rest.begin(), rest.end());
  file.insert(file.end(), ends.back.begin(), ends.back.end());
  if (!read(file, key, content) || !std::equal(rest.begin(), rest.end(), content.begin()))
    std::abort();
  file[how % file.size()] ^= std::byte{static_cast<unsigned char>(how | 1)};
  if (read(file, key, content)) std::abort();
  return 0;
}
