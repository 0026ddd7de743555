#include "format/gguf_read.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <unordered_set>

#include "base/error.h"
#include "format/gguf_value.h"
#include "format/printable.h"
#include "quant/format.h"

namespace hadal::format {
namespace {

constexpr int64_t alignment_default = 32;
constexpr uint64_t alignment_max = 1 << 20;
constexpr uint64_t name_bytes_max = 4096;
// The least bytes that a key and a tensor info take: counts beyond what the file could hold are
// refused before anything is reserved.
constexpr uint64_t key_bytes_min = 8 + 4 + 1;
constexpr uint64_t info_bytes_min = 8 + 4 + 4 + 8;

// Reads the file from front to back; no read passes the end.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::string& source)
      : bytes_(bytes), source_(source) {}

  size_t position() const { return position_; }
  uint64_t left() const { return bytes_.size() - position_; }

  std::span<const std::byte> take(uint64_t count, std::string_view what) {
    if (count > left())
      fail(ErrorKind::format, "{}: {} at byte {} needs {} bytes, but only {} follow: truncated?",
           source_, what, position_, count, left());
    const auto taken = bytes_.subspan(position_, static_cast<size_t>(count));
    position_ += static_cast<size_t>(count);
    return taken;
  }

  template <typename T>
  T number(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof value, what).data(), sizeof value);
    return value;
  }

  std::string_view string(std::string_view what) {
    const auto taken = take(number<uint64_t>(what), what);
    return {reinterpret_cast<const char*>(taken.data()), taken.size()};
  }

  std::string_view name(std::string_view what) {
    const std::string_view text = string(what);
    if (text.empty() || text.size() > name_bytes_max)
      fail(ErrorKind::format, "{}: {} ending at byte {} has {} bytes, expected 1 to {}", source_,
           what, position_, text.size(), name_bytes_max);
    if (!is_printable(text))
      fail(ErrorKind::format, "{}: {} ending at byte {} holds control characters: \"{}\"", source_,
           what, position_, printable(text));
    return text;
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& source_;
  size_t position_ = 0;
};

GgufType read_type(Cursor& cursor, std::string_view key, const std::string& source) {
  const auto id = cursor.number<uint32_t>(key);
  if (id > static_cast<uint32_t>(GgufType::f64))
    fail(ErrorKind::format, "{}: key {} has the unknown value type {}", source, key, id);
  return static_cast<GgufType>(id);
}

// Steps over the value, checking that it lies in the file.
void read_value(Cursor& cursor, std::span<const std::byte> file, GgufKey& key,
                const std::string& source) {
  size_t begin = cursor.position();
  if (key.type == GgufType::array) {
    key.element = read_type(cursor, key.name, source);
    if (key.element == GgufType::array)
      fail(ErrorKind::format, "{}: key {} is an array of arrays", source, key.name);
    key.count = cursor.number<uint64_t>(key.name);
    begin = cursor.position();
  }
  const GgufType type = key.type == GgufType::array ? key.element : key.type;
  if (type == GgufType::string) {
    // Each takes its length at least, so this ends within the file whatever the count says.
    for (uint64_t i = 0; i < key.count; ++i) cursor.string(key.name);
  } else {
    const uint64_t bytes = gguf_scalar_bytes(type);
    if (key.count > cursor.left() / bytes)
      fail(ErrorKind::format, "{}: key {} has {} elements, more than the file holds", source,
           key.name, key.count);
    cursor.take(key.count * bytes, key.name);
  }
  key.bytes = file.subspan(begin, cursor.position() - begin);
}

struct Info {
  GgufTensor tensor;
  uint64_t offset;
};

Info read_info(Cursor& cursor, const std::string& source) {
  Info info{};
  GgufTensor& t = info.tensor;
  t.name = cursor.name("a tensor's name");
  const auto rank = cursor.number<uint32_t>(t.name);
  if (rank > t.shape.size())
    fail(ErrorKind::format, "{}: tensor {} has {} dimensions, expected at most {}", source, t.name,
         rank, t.shape.size());
  t.rank = static_cast<int>(rank);
  for (uint32_t i = 0; i < rank; ++i) {
    const auto extent = cursor.number<int64_t>(t.name);
    if (extent <= 0)
      fail(ErrorKind::format, "{}: tensor {} has the extent {}, expected a positive number", source,
           t.name, extent);
    t.shape[rank - 1 - i] = extent;
  }
  t.type_id = cursor.number<uint32_t>(t.name);
  if (const quant::TypeInfo* type = quant::find_type(t.type_id);
      type != nullptr && type->type != quant::Type::FP8_E4M3)
    t.type = type->type;
  info.offset = cursor.number<uint64_t>(t.name);
  return info;
}

// Bytes of the tensor; its type is known.
uint64_t bytes_of(const GgufTensor& t, const std::string& source) {
  uint64_t elements = 1;
  for (int i = 0; i < t.rank; ++i) {
    const auto extent = static_cast<uint64_t>(t.shape[static_cast<size_t>(i)]);
    // 2^56 elements leave room for the bytes of any type.
    if (extent > (uint64_t{1} << 56) / elements)
      fail(ErrorKind::format, "{}: the size of tensor {} overflows", source, t.name);
    elements *= extent;
  }
  const quant::TypeInfo& type = quant::type_info(*t.type);
  const int64_t innermost = t.rank > 0 ? t.shape[static_cast<size_t>(t.rank - 1)] : 1;
  if (innermost % type.block_weights != 0)
    fail(ErrorKind::format, "{}: tensor {} has rows of {}, no multiple of {}'s block of {}", source,
         t.name, innermost, type.name, type.block_weights);
  return elements / static_cast<uint64_t>(type.block_weights) *
         static_cast<uint64_t>(type.block_bytes);
}

void check_unique(const std::vector<Info>& infos, const std::string& source) {
  std::unordered_set<std::string_view> names;
  for (const Info& info : infos)
    if (!names.insert(info.tensor.name).second)
      fail(ErrorKind::format, "{}: tensor {} occurs twice", source, info.tensor.name);
}

// Gives each tensor its bytes. Data begins at the next multiple of the alignment after the infos.
void place(std::vector<Info>& infos, std::span<const std::byte> file, size_t infos_end,
           uint64_t alignment, const std::string& source) {
  const uint64_t begin = (infos_end + alignment - 1) / alignment * alignment;
  const uint64_t size = file.size() > begin ? file.size() - begin : 0;
  for (Info& info : infos) {
    GgufTensor& t = info.tensor;
    if (info.offset % alignment != 0)
      fail(ErrorKind::format, "{}: tensor {} lies at offset {}, no multiple of the alignment {}",
           source, t.name, info.offset, alignment);
    const uint64_t bytes = t.type ? bytes_of(t, source) : 0;
    if (info.offset > size || bytes > size - info.offset)
      fail(ErrorKind::format,
           "{}: tensor {} needs bytes {} to {} of the data, but the file has only {}: it is "
           "truncated",
           source, t.name, info.offset, info.offset + bytes, size);
    if (t.type)
      t.data = file.subspan(static_cast<size_t>(begin + info.offset), static_cast<size_t>(bytes));
  }
  std::vector<const GgufTensor*> order;
  for (const Info& info : infos)
    if (info.tensor.type) order.push_back(&info.tensor);
  std::sort(order.begin(), order.end(),
            [](const auto* a, const auto* b) { return a->data.data() < b->data.data(); });
  for (size_t i = 1; i < order.size(); ++i)
    if (order[i - 1]->data.data() + order[i - 1]->data.size() > order[i]->data.data())
      fail(ErrorKind::format, "{}: tensors {} and {} overlap", source, order[i - 1]->name,
           order[i]->name);
}

}  // namespace

Gguf::Gguf(std::span<const std::byte> bytes, std::string source) : source_(std::move(source)) {
  Cursor cursor(bytes, source_);
  const auto magic = cursor.take(4, "the magic number");
  if (std::memcmp(magic.data(), "GGUF", 4) != 0)
    fail(ErrorKind::format, "{}: not a GGUF file: it does not begin with \"GGUF\"", source_);
  version_ = cursor.number<uint32_t>("the version");
  if (version_ != 2 && version_ != 3)
    fail(ErrorKind::unsupported, "{}: GGUF version {}{}, expected 2 or 3", source_, version_,
         (version_ & 0xFFFF) == 0 ? " (big-endian)" : "");
  const auto tensor_count = cursor.number<uint64_t>("the tensor count");
  const auto key_count = cursor.number<uint64_t>("the key count");
  if (key_count > cursor.left() / key_bytes_min || tensor_count > cursor.left() / info_bytes_min)
    fail(ErrorKind::format, "{}: {} keys and {} tensors are more than a file of {} bytes can hold",
         source_, key_count, tensor_count, bytes.size());
  keys_.reserve(static_cast<size_t>(key_count));
  for (uint64_t i = 0; i < key_count; ++i) {
    GgufKey key{cursor.name("a key"), GgufType::u8, GgufType::u8, 1, {}};
    key.type = read_type(cursor, key.name, source_);
    read_value(cursor, bytes, key, source_);
    if (!index_.emplace(key.name, keys_.size()).second)
      fail(ErrorKind::format, "{}: key {} occurs twice", source_, key.name);
    keys_.push_back(key);
  }
  std::vector<Info> infos;
  infos.reserve(static_cast<size_t>(tensor_count));
  for (uint64_t i = 0; i < tensor_count; ++i) infos.push_back(read_info(cursor, source_));
  check_unique(infos, source_);
  const int64_t alignment = integer_or("general.alignment", alignment_default);
  // At least 8, so that the elements of every type can be read in place.
  if (alignment < 8 || static_cast<uint64_t>(alignment) > alignment_max ||
      !std::has_single_bit(static_cast<uint64_t>(alignment)))
    fail(ErrorKind::format, "{}: general.alignment is {}, expected a power of two, 8 to {}",
         source_, alignment, alignment_max);
  place(infos, bytes, cursor.position(), static_cast<uint64_t>(alignment), source_);
  tensors_.reserve(infos.size());
  for (const Info& info : infos) tensors_.push_back(info.tensor);
}

}  // namespace hadal::format
