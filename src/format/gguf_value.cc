#include "format/gguf_value.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "format/printable.h"

namespace hadal::format {
namespace {

struct TypeName {
  const char* name;
  uint64_t bytes;
};
// In the order of GgufType.
constexpr TypeName types[] = {{"uint8", 1},  {"int8", 1},  {"uint16", 2},  {"int16", 2},
                              {"uint32", 4}, {"int32", 4}, {"float32", 4}, {"bool", 1},
                              {"string", 0}, {"array", 0}, {"uint64", 8},  {"int64", 8},
                              {"float64", 8}};

GgufType scalar_type(const GgufKey& key) {
  return key.type == GgufType::array ? key.element : key.type;
}

template <typename T>
T load(const GgufKey& key, uint64_t i) {
  T value;
  std::memcpy(&value, key.bytes.data() + i * sizeof value, sizeof value);
  return value;
}

std::string_view string_at(const std::byte* address, uint64_t& bytes) {
  std::memcpy(&bytes, address, sizeof bytes);
  return {reinterpret_cast<const char*>(address) + sizeof bytes, static_cast<size_t>(bytes)};
}

}  // namespace

std::string_view gguf_type_name(GgufType type) {
  return types[static_cast<size_t>(type)].name;
}
uint64_t gguf_scalar_bytes(GgufType type) {
  return types[static_cast<size_t>(type)].bytes;
}

bool is_integer(GgufType type) {
  return type <= GgufType::i32 || type == GgufType::u64 || type == GgufType::i64;
}
bool is_real(GgufType type) {
  return type == GgufType::f32 || type == GgufType::f64;
}

int64_t gguf_integer(const GgufKey& key, uint64_t i) {
  switch (scalar_type(key)) {
    case GgufType::u8:
      return load<uint8_t>(key, i);
    case GgufType::i8:
      return load<int8_t>(key, i);
    case GgufType::u16:
      return load<uint16_t>(key, i);
    case GgufType::i16:
      return load<int16_t>(key, i);
    case GgufType::u32:
      return load<uint32_t>(key, i);
    case GgufType::i32:
      return load<int32_t>(key, i);
    case GgufType::u64: {
      const auto value = load<uint64_t>(key, i);
      constexpr auto largest = std::numeric_limits<int64_t>::max();
      return value > static_cast<uint64_t>(largest) ? largest : static_cast<int64_t>(value);
    }
    case GgufType::i64:
      return load<int64_t>(key, i);
    default:
      HADAL_CHECK(false, "{} is no integer", gguf_type_name(scalar_type(key)));
  }
  return 0;
}

double gguf_real(const GgufKey& key, uint64_t i) {
  const GgufType type = scalar_type(key);
  if (type == GgufType::f32) return static_cast<double>(load<float>(key, i));
  if (type == GgufType::f64) return load<double>(key, i);
  return static_cast<double>(gguf_integer(key, i));
}

const GgufKey* Gguf::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &keys_[found->second];
}

const GgufKey& Gguf::require(std::string_view name) const {
  const GgufKey* key = find(name);
  if (key == nullptr) fail(ErrorKind::format, "{}: the key {} is missing", source_, name);
  return *key;
}

void Gguf::wrong_type(const GgufKey& key, std::string_view expected) const {
  fail(ErrorKind::format, "{}: key {} has the type {}{}, expected {}", source_, key.name,
       gguf_type_name(key.type),
       key.type == GgufType::array ? fmt::format(" of {}", gguf_type_name(key.element)) : "",
       expected);
}

int64_t Gguf::integer(std::string_view name) const {
  const GgufKey& key = require(name);
  if (!is_integer(scalar_type(key)) || key.count == 0) wrong_type(key, "a whole number");
  const int64_t value = gguf_integer(key, 0);
  // Sizes beyond this are nonsense, and sums of smaller ones cannot overflow.
  constexpr int64_t limit = int64_t{1} << 53;
  if (value > limit || value < -limit)
    fail(ErrorKind::format, "{}: key {} is {}, which is absurd", source_, name, value);
  for (uint64_t i = 1; i < key.count; ++i)
    if (gguf_integer(key, i) != value)
      fail(ErrorKind::unsupported,
           "{}: key {} differs between layers ({} and {}); Hadal runs models of equal layers",
           source_, name, value, gguf_integer(key, i));
  return value;
}

int64_t Gguf::integer_or(std::string_view name, int64_t otherwise) const {
  return has(name) ? integer(name) : otherwise;
}

double Gguf::real(std::string_view name) const {
  const GgufKey& key = require(name);
  if (key.type == GgufType::array || (!is_real(key.type) && !is_integer(key.type)))
    wrong_type(key, "a number");
  const double value = gguf_real(key, 0);
  if (!std::isfinite(value))
    fail(ErrorKind::format, "{}: key {} is {}, expected a finite number", source_, name, value);
  return value;
}

double Gguf::real_or(std::string_view name, double otherwise) const {
  return has(name) ? real(name) : otherwise;
}

bool Gguf::boolean_or(std::string_view name, bool otherwise) const {
  const GgufKey* key = find(name);
  if (key == nullptr) return otherwise;
  if (key->type != GgufType::boolean) wrong_type(*key, "a bool");
  return load<uint8_t>(*key, 0) != 0;
}

std::string_view Gguf::string_or(std::string_view name, std::string_view otherwise) const {
  const GgufKey* key = find(name);
  if (key == nullptr) return otherwise;
  if (key->type != GgufType::string) wrong_type(*key, "a string");
  uint64_t bytes = 0;
  return string_at(key->bytes.data(), bytes);
}

std::vector<std::string_view> Gguf::strings(std::string_view name) const {
  const GgufKey* key = find(name);
  if (key == nullptr) return {};
  if (key->type != GgufType::array || key->element != GgufType::string)
    wrong_type(*key, "an array of strings");
  std::vector<std::string_view> all;
  all.reserve(static_cast<size_t>(key->count));  // each took 8 bytes of the file at least
  const std::byte* address = key->bytes.data();
  for (uint64_t i = 0; i < key->count; ++i) {
    uint64_t bytes = 0;
    all.push_back(string_at(address, bytes));
    address += sizeof bytes + bytes;
  }
  return all;
}

std::vector<int64_t> Gguf::integers(std::string_view name) const {
  const GgufKey* key = find(name);
  if (key == nullptr) return {};
  if (key->type != GgufType::array || !is_integer(key->element))
    wrong_type(*key, "an array of whole numbers");
  std::vector<int64_t> all(static_cast<size_t>(key->count));
  for (uint64_t i = 0; i < key->count; ++i) all[i] = gguf_integer(*key, i);
  return all;
}

std::string gguf_value_text(const GgufKey& key) {
  if (key.type == GgufType::array)
    return fmt::format("[{} x {}]", key.count, gguf_type_name(key.element));
  if (key.type == GgufType::string) {
    uint64_t bytes = 0;
    return printable(string_at(key.bytes.data(), bytes), 60);
  }
  if (key.type == GgufType::boolean) return load<uint8_t>(key, 0) != 0 ? "true" : "false";
  return is_real(key.type) ? fmt::format("{}", static_cast<float>(gguf_real(key, 0)))
                           : fmt::format("{}", gguf_integer(key, 0));
}

}  // namespace hadal::format
