#include "format/safetensors_read.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "format/json_guard.h"
#include "format/printable.h"

namespace hadal::format {
namespace {

using nlohmann::json;

struct DtypeInfo {
  const char* name;
  int64_t bytes;
};
// In the order of Dtype.
constexpr DtypeInfo dtypes[] = {{"F64", 8},     {"F32", 4},     {"F16", 2},     {"BF16", 2},
                                {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1}, {"I64", 8},
                                {"I32", 4},     {"I16", 2},     {"I8", 1},      {"U64", 8},
                                {"U32", 4},     {"U16", 2},     {"U8", 1},      {"BOOL", 1}};
constexpr size_t rank_max = 8;

Dtype read_dtype(const JsonObject& entry, std::string_view name) {
  const std::string text = entry.string_or("dtype", "");
  for (size_t i = 0; i < std::size(dtypes); ++i)
    if (text == dtypes[i].name) return static_cast<Dtype>(i);
  fail(ErrorKind::format, "{}: tensor {} has the unknown dtype \"{}\"", entry.source(), name,
       printable(text));
}

// Bytes of a tensor of this shape; throws if they do not fit 63 bits.
int64_t bytes_of(const SafetensorsTensor& tensor, std::string_view source) {
  int64_t bytes = dtype_bytes(tensor.dtype);
  for (const int64_t extent : tensor.shape) {
    if (extent < 0)
      fail(ErrorKind::format, "{}: tensor {} has a negative extent {}", source, tensor.name,
           extent);
    if (extent > 0 && bytes > std::numeric_limits<int64_t>::max() / extent)
      fail(ErrorKind::format, "{}: the size of tensor {} overflows", source, tensor.name);
    bytes *= extent;
  }
  return bytes;
}

SafetensorsTensor read_entry(const std::string& name, const json& value,
                             std::span<const std::byte> buffer, const std::string& source) {
  if (!is_printable(name))
    fail(ErrorKind::format, "{}: the name of tensor \"{}\" holds control characters", source,
         printable(name));
  const JsonObject entry(value, source, name + ".");
  SafetensorsTensor tensor{name, read_dtype(entry, name), entry.integers("shape"), {}};
  const json* shape = entry.find("shape");
  if (shape == nullptr || !shape->is_array() || tensor.shape.size() > rank_max)
    fail(ErrorKind::format, "{}: tensor {} has no shape of at most {} extents", source, name,
         rank_max);
  const std::vector<int64_t> offsets = entry.integers("data_offsets");
  if (offsets.size() != 2 || offsets[0] < 0 || offsets[1] < offsets[0])
    fail(ErrorKind::format, "{}: tensor {} has no valid data_offsets [begin, end]", source, name);
  const auto size = static_cast<int64_t>(buffer.size());
  if (offsets[1] > size)
    fail(ErrorKind::format,
         "{}: tensor {} ends at byte {} of the data, but the file has only {}: it is truncated",
         source, name, offsets[1], size);
  const int64_t expected = bytes_of(tensor, source);
  if (offsets[1] - offsets[0] != expected)
    fail(ErrorKind::format, "{}: tensor {} has {} bytes, expected {} by its shape and dtype {}",
         source, name, offsets[1] - offsets[0], expected, dtype_name(tensor.dtype));
  tensor.data = buffer.subspan(static_cast<size_t>(offsets[0]), static_cast<size_t>(expected));
  return tensor;
}

}  // namespace

std::string_view dtype_name(Dtype dtype) {
  return dtypes[static_cast<size_t>(dtype)].name;
}
int64_t dtype_bytes(Dtype dtype) {
  return dtypes[static_cast<size_t>(dtype)].bytes;
}

std::optional<quant::Type> weight_type(Dtype dtype) {
  switch (dtype) {
    case Dtype::F32:
      return quant::Type::F32;
    case Dtype::F16:
      return quant::Type::F16;
    case Dtype::BF16:
      return quant::Type::BF16;
    case Dtype::F8_E4M3:
      return quant::Type::FP8_E4M3;
    default:
      return std::nullopt;
  }
}

std::vector<SafetensorsTensor> parse_safetensors(std::span<const std::byte> bytes,
                                                 std::string_view source_view) {
  const std::string source(source_view);
  uint64_t header_bytes = 0;
  if (bytes.size() < sizeof header_bytes)
    fail(ErrorKind::format, "{}: {} bytes are too few for a safetensors file: it is truncated",
         source, bytes.size());
  std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  bytes = bytes.subspan(sizeof header_bytes);
  if (header_bytes > bytes.size())
    fail(ErrorKind::format,
         "{}: the header should have {} bytes, but only {} follow: no safetensors file, or "
         "truncated",
         source, header_bytes, bytes.size());
  const auto header_size = static_cast<size_t>(header_bytes);
  const json header =
      parse_json({reinterpret_cast<const char*>(bytes.data()), header_size}, source + " (header)");
  if (!header.is_object()) fail(ErrorKind::format, "{}: the header is no JSON object", source);
  const auto buffer = bytes.subspan(header_size);

  std::vector<SafetensorsTensor> tensors;
  tensors.reserve(header.size());
  for (const auto& [name, value] : header.items())
    if (name != "__metadata__") tensors.push_back(read_entry(name, value, buffer, source));
  std::stable_sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return a.data.data() < b.data.data() ||
           (a.data.data() == b.data.data() && a.data.size() < b.data.size());
  });
  for (size_t i = 1; i < tensors.size(); ++i) {
    const auto& before = tensors[i - 1];
    if (before.data.data() + before.data.size() > tensors[i].data.data())
      fail(ErrorKind::format, "{}: tensors {} and {} overlap", source, before.name,
           tensors[i].name);
  }
  return tensors;
}

}  // namespace hadal::format
