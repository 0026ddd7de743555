#include "format/gguf_write.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "quant/format.h"

namespace hadal::format {
namespace {

constexpr uint64_t alignment = 32;

uint64_t padded(uint64_t bytes) {
  return (bytes + alignment - 1) / alignment * alignment;
}

// x86-64 is little-endian, as the format is.
template <typename T>
void put(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

void put_string(std::string& out, std::string_view text) {
  put(out, uint64_t{text.size()});
  out.append(text);
}

template <typename T>
std::string bytes_of(T value) {
  std::string out;
  put(out, value);
  return out;
}

std::string array_head(GgufType element, uint64_t count) {
  std::string out;
  put(out, static_cast<uint32_t>(element));
  put(out, count);
  return out;
}

}  // namespace

void GgufKeys::add_u32(std::string_view key, uint32_t value) {
  add_raw(key, GgufType::u32, bytes_of(value));
}

void GgufKeys::add_f32(std::string_view key, float value) {
  add_raw(key, GgufType::f32, bytes_of(value));
}

void GgufKeys::add_bool(std::string_view key, bool value) {
  add_raw(key, GgufType::boolean, bytes_of(static_cast<uint8_t>(value)));
}

void GgufKeys::add_string(std::string_view key, std::string_view value) {
  std::string bytes;
  put_string(bytes, value);
  add_raw(key, GgufType::string, std::move(bytes));
}

void GgufKeys::add_strings(std::string_view key, std::span<const std::string_view> values) {
  std::string bytes = array_head(GgufType::string, values.size());
  for (const std::string_view value : values) put_string(bytes, value);
  add_raw(key, GgufType::array, std::move(bytes));
}

void GgufKeys::add_i32s(std::string_view key, std::span<const int32_t> values) {
  std::string bytes = array_head(GgufType::i32, values.size());
  for (const int32_t value : values) put(bytes, value);
  add_raw(key, GgufType::array, std::move(bytes));
}

void GgufKeys::add_raw(std::string_view key, GgufType type, std::string bytes) {
  const auto known =
      std::find_if(keys_.begin(), keys_.end(), [&](const Key& k) { return k.name == key; });
  if (known != keys_.end()) {
    known->type = type;
    known->bytes = std::move(bytes);
  } else {
    keys_.push_back({std::string(key), type, std::move(bytes)});
  }
}

void GgufKeys::remove(std::string_view key) {
  std::erase_if(keys_, [&](const Key& k) { return k.name == key; });
}

bool GgufKeys::has(std::string_view key) const {
  return std::any_of(keys_.begin(), keys_.end(), [&](const Key& k) { return k.name == key; });
}

std::string GgufKeys::encode() const {
  std::string out;
  for (const Key& key : keys_) {
    put_string(out, key.name);
    put(out, static_cast<uint32_t>(key.type));
    out += key.bytes;
  }
  return out;
}

void GgufWriter::add_tensor(std::string_view name, quant::Type type,
                            std::span<const int64_t> shape) {
  HADAL_CHECK(!begun_, "{}: tensor {} comes after the first data", file_.path(), name);
  HADAL_CHECK(!shape.empty() && shape.size() <= 4, "{}: {} extents", name, shape.size());
  HADAL_CHECK(type != quant::Type::FP8_E4M3, "{}: GGUF has no FP8", name);
  uint64_t bytes = quant::row_bytes(type, shape.back());
  for (const int64_t extent : shape.first(shape.size() - 1)) {
    bytes *= static_cast<uint64_t>(extent);
  }
  tensors_.push_back({std::string(name), type, {shape.begin(), shape.end()}, bytes});
}

std::string GgufWriter::encode_header() const {
  std::string out = "GGUF";
  put(out, uint32_t{3});
  put(out, uint64_t{tensors_.size()});
  put(out, uint64_t{keys_.size()});
  out += keys_.encode();
  uint64_t offset = 0;
  for (const TensorInfo& tensor : tensors_) {
    put_string(out, tensor.name);
    put(out, static_cast<uint32_t>(tensor.shape.size()));
    for (auto extent = tensor.shape.rbegin(); extent != tensor.shape.rend(); ++extent) {
      put(out, *extent);
    }
    put(out, static_cast<uint32_t>(tensor.type));
    put(out, offset);
    offset += padded(tensor.bytes);
  }
  out.resize(padded(out.size()));
  return out;
}

uint64_t GgufWriter::total_bytes() const {
  uint64_t total = encode_header().size();
  for (const TensorInfo& tensor : tensors_) total += padded(tensor.bytes);
  return total;
}

void GgufWriter::pad() {
  const char zeros[alignment] = {};
  const uint64_t size = file_.bytes_written();
  file_.write(zeros, padded(size) - size);
}

void GgufWriter::write(const void* data, size_t bytes) {
  if (!begun_) {
    const std::string header = encode_header();
    file_.write(header.data(), header.size());
    begun_ = true;
  }
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    HADAL_CHECK(current_ < tensors_.size(), "{}: more data than tensors", file_.path());
    const uint64_t wanted = tensors_[current_].bytes - current_done_;
    const uint64_t n = std::min<uint64_t>(wanted, bytes);
    file_.write(from, n);
    from += n;
    bytes -= n;
    current_done_ += n;
    if (n == wanted) {
      pad();
      ++current_;
      current_done_ = 0;
    }
  }
}

void GgufWriter::finish() {
  write(nullptr, 0);  // a file without tensors has a header too
  HADAL_CHECK(current_ == tensors_.size(), "{}: tensor {} is incomplete", file_.path(), current_);
  file_.commit();
}

}  // namespace hadal::format
