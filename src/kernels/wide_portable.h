// The operations of wide.h in plain code, as the instructions define them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/scalar.h"
#include "kernels/flush.h"

namespace hadal::kernels::wide_portable {

#define HADAL_OP static inline

// 64 bytes of whole numbers, or of anything.
struct Ints {
  uint8_t b[64];
  template <class T>
  T lane(int i) const {
    T x;
    __builtin_memcpy(&x, b + i * static_cast<int>(sizeof(T)), sizeof(T));
    return x;
  }
};
// 16 floats.
struct Floats {
  float f[16];
};

template <class T>
static inline T peek(const void* p, int i) {
  T x;
  __builtin_memcpy(&x, static_cast<const char*>(p) + i * static_cast<int>(sizeof(T)), sizeof(T));
  return x;
}

template <class T, class F>
static inline Ints make(F value) {
  Ints v;
  for (int i = 0; i < 64 / static_cast<int>(sizeof(T)); ++i) {
    const T x = static_cast<T>(value(i));
    __builtin_memcpy(v.b + i * static_cast<int>(sizeof(T)), &x, sizeof(T));
  }
  return v;
}

template <class F>
static inline Floats make_floats(F value) {
  Floats v;
  for (int i = 0; i < 16; ++i) v.f[i] = value(i);
  return v;
}

template <class T, class F>
static inline Ints map(Ints a, F f) {
  return make<T>([&](int i) { return f(a.lane<T>(i)); });
}

template <class T, class F>
static inline Ints zip(Ints a, Ints b, F f) {
  return make<T>([&](int i) { return f(a.lane<T>(i), b.lane<T>(i)); });
}

template <class From, class To>
static inline Ints widen(const void* p) {
  return make<To>([&](int i) { return peek<From>(p, i); });
}

template <class T, class F>
static inline uint64_t mask(F f) {
  uint64_t m = 0;
  for (int i = 0; i < 64 / static_cast<int>(sizeof(T)); ++i) m |= uint64_t{f(i) ? 1u : 0u} << i;
  return m;
}

// In each 16 bytes: elements of a and b in turn, from byte `from` on.
template <class T>
static inline Ints interleave(Ints a, Ints b, int from) {
  constexpr int per_quarter = 16 / static_cast<int>(sizeof(T));
  return make<T>([&](int i) {
    const int quarter = i / per_quarter, at = i % per_quarter;
    const int source = quarter * per_quarter + from / static_cast<int>(sizeof(T)) + at / 2;
    return at % 2 == 0 ? a.lane<T>(source) : b.lane<T>(source);
  });
}

// ---- loads and stores

HADAL_OP Ints load(const void* p) {
  Ints v;
  __builtin_memcpy(&v, p, 64);
  return v;
}

HADAL_OP void store(void* p, Ints v) {
  __builtin_memcpy(p, &v, 64);
}

HADAL_OP Ints load_first(const void* p, int n) {
  Ints v = {};
  __builtin_memcpy(&v, p, static_cast<size_t>(n));
  return v;
}

HADAL_OP void store_first(void* p, int n, Ints v) {
  __builtin_memcpy(p, &v, static_cast<size_t>(n));
}

HADAL_OP Ints load_halves(const void* low, const void* high) {
  Ints v;
  __builtin_memcpy(v.b, low, 32);
  __builtin_memcpy(v.b + 32, high, 32);
  return v;
}

HADAL_OP Ints load_half_twice(const void* p) {
  return load_halves(p, p);
}

HADAL_OP Ints load_quarter_4x(const void* p) {
  Ints v;
  for (int i = 0; i < 4; ++i) __builtin_memcpy(v.b + 16 * i, p, 16);
  return v;
}

// Quarters p p q q.
HADAL_OP Ints load_quarter_pairs(const void* p, const void* q) {
  Ints v;
  for (int i = 0; i < 4; ++i) __builtin_memcpy(v.b + 16 * i, i < 2 ? p : q, 16);
  return v;
}

HADAL_OP Ints load_i8_as_i16(const void* p) {
  return widen<int8_t, int16_t>(p);
}

HADAL_OP Ints load_u8_as_i16(const void* p) {
  return widen<uint8_t, int16_t>(p);
}

HADAL_OP Ints load_i8_as_i32(const void* p) {
  return widen<int8_t, int32_t>(p);
}

HADAL_OP Ints load_u8_as_i32(const void* p) {
  return widen<uint8_t, int32_t>(p);
}

HADAL_OP Ints load_i16_as_i32(const void* p) {
  return widen<int16_t, int32_t>(p);
}

HADAL_OP Ints load_u16_as_i32(const void* p) {
  return widen<uint16_t, int32_t>(p);
}

HADAL_OP Floats load_floats(const float* p) {
  Floats v;
  __builtin_memcpy(&v, p, 64);
  return v;
}

HADAL_OP void store_floats(float* p, Floats v) {
  __builtin_memcpy(p, &v, 64);
}

HADAL_OP Floats load_floats_first(const float* p, int n) {
  Floats v = {};
  __builtin_memcpy(&v, p, static_cast<size_t>(n) * 4);
  return v;
}

HADAL_OP void store_floats_first(float* p, int n, Floats v) {
  __builtin_memcpy(p, &v, static_cast<size_t>(n) * 4);
}

HADAL_OP Floats in_register(Floats v) {
  return v;
}

HADAL_OP Floats load_f16(const void* p) {
  return make_floats([&](int i) { return f16_to_float(peek<uint16_t>(p, i)); });
}

HADAL_OP Floats broadcast_f16(const void* p) {
  return make_floats([&](int) { return f16_to_float(peek<uint16_t>(p, 0)); });
}

HADAL_OP Floats load_bf16(const void* p) {
  return make_floats([&](int i) { return bf16_to_float(peek<uint16_t>(p, i)); });
}

// Lane i: the four bytes at base + offsets[i], at any address.
HADAL_OP Ints gather32(const void* base, Ints offsets) {
  return make<uint32_t>([&](int i) {
    return peek<uint32_t>(static_cast<const char*>(base) + offsets.lane<int32_t>(i), 0);
  });
}

// Brings the line of p towards this core: into the nearest cache, or the second.
HADAL_OP void prefetch_near(const void* p) {
  __builtin_prefetch(p, 0, 3);
}
HADAL_OP void prefetch_far(const void* p) {
  __builtin_prefetch(p, 0, 2);
}

// ---- constants

HADAL_OP Ints zero() {
  return Ints{};
}

HADAL_OP Ints set8(int x) {
  return make<int8_t>([&](int) { return x; });
}

HADAL_OP Ints set16(int x) {
  return make<int16_t>([&](int) { return x; });
}

HADAL_OP Ints set32(int32_t x) {
  return make<int32_t>([&](int) { return x; });
}

HADAL_OP Ints set64(int64_t x) {
  return make<int64_t>([&](int) { return x; });
}

HADAL_OP Floats zero_floats() {
  return Floats{};
}

HADAL_OP Floats set_floats(float x) {
  return make_floats([&](int) { return x; });
}

// ---- bits

HADAL_OP Ints bit_and(Ints a, Ints b) {
  return zip<uint64_t>(a, b, [](uint64_t x, uint64_t y) { return x & y; });
}

HADAL_OP Ints bit_or(Ints a, Ints b) {
  return zip<uint64_t>(a, b, [](uint64_t x, uint64_t y) { return x | y; });
}

HADAL_OP Ints bit_xor(Ints a, Ints b) {
  return zip<uint64_t>(a, b, [](uint64_t x, uint64_t y) { return x ^ y; });
}

// Bits of a where m has ones, of b elsewhere.
HADAL_OP Ints bit_select(Ints m, Ints a, Ints b) {
  return bit_xor(b, bit_and(m, bit_xor(a, b)));
}

template <int count>
HADAL_OP Ints shift_right16(Ints a) {
  return map<uint16_t>(a, [](uint16_t x) { return x >> count; });
}

template <int count>
HADAL_OP Ints shift_left16(Ints a) {
  return map<uint16_t>(a, [](uint16_t x) { return x << count; });
}

template <int count>
HADAL_OP Ints shift_right_signed16(Ints a) {
  return map<int16_t>(a, [](int16_t x) { return x >> count; });
}

HADAL_OP Ints shift_right_each16(Ints a, Ints counts) {
  return zip<uint16_t>(a, counts, [](uint16_t x, uint16_t n) { return n < 16 ? x >> n : 0; });
}

HADAL_OP Ints shift_left_each16(Ints a, Ints counts) {
  return zip<uint16_t>(a, counts, [](uint16_t x, uint16_t n) { return n < 16 ? x << n : 0; });
}

template <int count>
HADAL_OP Ints shift_right32(Ints a) {
  return map<uint32_t>(a, [](uint32_t x) { return x >> count; });
}

template <int count>
HADAL_OP Ints shift_left32(Ints a) {
  return map<uint32_t>(a, [](uint32_t x) { return x << count; });
}

template <int count>
HADAL_OP Ints shift_right_signed32(Ints a) {
  return map<int32_t>(a, [](int32_t x) { return x >> count; });
}

HADAL_OP Ints shift_right_each32(Ints a, Ints counts) {
  return zip<uint32_t>(a, counts, [](uint32_t x, uint32_t n) { return n < 32 ? x >> n : 0; });
}

HADAL_OP Ints shift_left_each32(Ints a, Ints counts) {
  return zip<uint32_t>(a, counts, [](uint32_t x, uint32_t n) { return n < 32 ? x << n : 0; });
}

// ---- whole numbers

HADAL_OP Ints add8(Ints a, Ints b) {
  return zip<uint8_t>(a, b, [](uint8_t x, uint8_t y) { return x + y; });
}

// a, plus b in the bytes of the mask.
HADAL_OP Ints add8_where(uint64_t m, Ints a, Ints b) {
  return make<uint8_t>([&](int i) { return (m >> i & 1) != 0 ? a.b[i] + b.b[i] : a.b[i]; });
}

HADAL_OP Ints sub8(Ints a, Ints b) {
  return zip<uint8_t>(a, b, [](uint8_t x, uint8_t y) { return x - y; });
}

HADAL_OP Ints add16(Ints a, Ints b) {
  return zip<uint16_t>(a, b, [](uint16_t x, uint16_t y) { return x + y; });
}

HADAL_OP Ints sub16(Ints a, Ints b) {
  return zip<uint16_t>(a, b, [](uint16_t x, uint16_t y) { return x - y; });
}

HADAL_OP Ints add32(Ints a, Ints b) {
  return zip<uint32_t>(a, b, [](uint32_t x, uint32_t y) { return x + y; });
}

HADAL_OP Ints sub32(Ints a, Ints b) {
  return zip<uint32_t>(a, b, [](uint32_t x, uint32_t y) { return x - y; });
}

HADAL_OP Ints mul16(Ints a, Ints b) {
  return zip<uint16_t>(a, b, [](uint32_t x, uint32_t y) { return x * y; });
}

HADAL_OP Ints mul32(Ints a, Ints b) {
  return zip<uint32_t>(a, b, [](uint32_t x, uint32_t y) { return x * y; });
}

HADAL_OP Ints abs8(Ints a) {
  return map<uint8_t>(a, [](uint8_t x) { return x < 128 ? x : 256 - x; });
}

// Lane of 32 bits += the four products of its bytes, unsigned times signed.

HADAL_OP Ints dot_bytes(Ints sum, Ints u, Ints s) {
  return make<int32_t>([&](int i) {
    uint32_t t = sum.lane<uint32_t>(i);  // wraps as the instruction does
    for (int j = 4 * i; j < 4 * i + 4; ++j)
      t += static_cast<uint32_t>(u.lane<uint8_t>(j) * s.lane<int8_t>(j));
    return t;
  });
}

// Lane of 32 bits += the two products of its 16-bit halves (dot_words), or is them (madd16).

HADAL_OP Ints madd16(Ints a, Ints b) {
  return make<int32_t>([&](int i) {
    return static_cast<uint32_t>(a.lane<int16_t>(2 * i) * b.lane<int16_t>(2 * i)) +
           static_cast<uint32_t>(a.lane<int16_t>(2 * i + 1) * b.lane<int16_t>(2 * i + 1));
  });
}

HADAL_OP Ints dot_words(Ints sum, Ints a, Ints b) {
  return add32(sum, madd16(a, b));
}

// ---- permutations

// In each 16 bytes: four lanes of 32 bits of a, then of b, to 16 bits each (saturated).

HADAL_OP Ints pack32(Ints a, Ints b) {
  return make<int16_t>([&](int i) {
    const int32_t x = (i % 8 < 4 ? a : b).lane<int32_t>(i / 8 * 4 + i % 4);
    return x < -32768 ? -32768 : x > 32767 ? 32767 : x;
  });
}

HADAL_OP Ints shuffle_bytes(Ints table, Ints index) {
  return make<uint8_t>([&](int i) {
    const uint8_t at = index.b[i];
    return at >= 128 ? 0 : table.b[(i & 48) | (at & 15)];
  });
}

HADAL_OP Ints permute_bytes(Ints index, Ints a) {
  return make<uint8_t>([&](int i) { return a.b[index.b[i] & 63]; });
}

HADAL_OP Ints permute_bytes2(Ints index, Ints a, Ints b) {
  return make<uint8_t>([&](int i) {
    const int at = index.b[i] & 127;
    return at < 64 ? a.b[at] : b.b[at - 64];
  });
}

HADAL_OP Ints permute16(Ints index, Ints a) {
  return make<uint16_t>([&](int i) { return a.lane<uint16_t>(index.lane<uint16_t>(i) & 31); });
}

HADAL_OP Ints permute32(Ints index, Ints a) {
  return make<uint32_t>(
      [&](int i) { return a.lane<uint32_t>(static_cast<int>(index.lane<uint32_t>(i) & 15)); });
}

HADAL_OP Ints permute32_2(Ints index, Ints a, Ints b) {
  return make<uint32_t>([&](int i) {
    const auto at = static_cast<int>(index.lane<uint32_t>(i) & 31);
    return at < 16 ? a.lane<uint32_t>(at) : b.lane<uint32_t>(at - 16);
  });
}

HADAL_OP Ints unpack_low8(Ints a, Ints b) {
  return interleave<uint8_t>(a, b, 0);
}

HADAL_OP Ints unpack_high8(Ints a, Ints b) {
  return interleave<uint8_t>(a, b, 8);
}

HADAL_OP Ints unpack_low16(Ints a, Ints b) {
  return interleave<uint16_t>(a, b, 0);
}

HADAL_OP Ints unpack_high16(Ints a, Ints b) {
  return interleave<uint16_t>(a, b, 8);
}

HADAL_OP Ints unpack_low32(Ints a, Ints b) {
  return interleave<uint32_t>(a, b, 0);
}

HADAL_OP Ints unpack_high32(Ints a, Ints b) {
  return interleave<uint32_t>(a, b, 8);
}

HADAL_OP Ints unpack_low64(Ints a, Ints b) {
  return interleave<uint64_t>(a, b, 0);
}

HADAL_OP Ints unpack_high64(Ints a, Ints b) {
  return interleave<uint64_t>(a, b, 8);
}

// Quarters of 16 bytes: two of a, then two of b, two bits of `control` each.

template <int control>
HADAL_OP Ints shuffle_quarters(Ints a, Ints b) {
  Ints v;
  for (int i = 0; i < 4; ++i)
    __builtin_memcpy(v.b + 16 * i, (i < 2 ? a : b).b + 16 * (control >> 2 * i & 3), 16);
  return v;
}

// ---- masks

HADAL_OP uint64_t equal8(Ints a, Ints b) {
  return mask<uint8_t>([&](int i) { return a.b[i] == b.b[i]; });
}

HADAL_OP uint64_t any_bit8(Ints a, Ints b) {
  return mask<uint8_t>([&](int i) { return (a.b[i] & b.b[i]) != 0; });
}

HADAL_OP Ints blend8(uint64_t m, Ints a, Ints b) {
  return make<uint8_t>([&](int i) { return (m >> i & 1) != 0 ? b.b[i] : a.b[i]; });
}

HADAL_OP Ints blend32(uint32_t m, Ints a, Ints b) {
  return make<uint32_t>(
      [&](int i) { return (m >> i & 1) != 0 ? b.lane<uint32_t>(i) : a.lane<uint32_t>(i); });
}

HADAL_OP Floats blend_floats(uint32_t m, Floats a, Floats b) {
  return make_floats([&](int i) { return (m >> i & 1) != 0 ? b.f[i] : a.f[i]; });
}

HADAL_OP uint32_t less_floats(Floats a, Floats b) {
  return static_cast<uint32_t>(mask<uint32_t>([&](int i) { return a.f[i] < b.f[i]; }));
}

HADAL_OP uint32_t unordered_floats(Floats a, Floats b) {
  return static_cast<uint32_t>(
      mask<uint32_t>([&](int i) { return a.f[i] != a.f[i] || b.f[i] != b.f[i]; }));
}

// ---- floats

HADAL_OP Floats add_floats(Floats a, Floats b) {
  return make_floats([&](int i) { return a.f[i] + b.f[i]; });
}

HADAL_OP Floats sub_floats(Floats a, Floats b) {
  return make_floats([&](int i) { return a.f[i] - b.f[i]; });
}

HADAL_OP Floats mul_floats(Floats a, Floats b) {
  return make_floats([&](int i) { return a.f[i] * b.f[i]; });
}

HADAL_OP Floats div_floats(Floats a, Floats b) {
  return make_floats([&](int i) { return a.f[i] / b.f[i]; });
}

HADAL_OP Floats fma(Floats a, Floats b, Floats c) {
  return make_floats([&](int i) { return __builtin_fmaf(a.f[i], b.f[i], c.f[i]); });
}

// The operations called flushed do it alone.
struct FlushSubnormals {
  // Not defaulted: compilers would call a variable of this type unused.
  FlushSubnormals() {}  // NOLINT(modernize-use-equals-default)
};

HADAL_OP Floats add_flushed(Floats a, Floats b) {
  return make_floats([&](int i) { return kernels::add_flushed(a.f[i], b.f[i]); });
}

HADAL_OP Floats fma_flushed(Floats a, Floats b, Floats c) {
  return make_floats([&](int i) { return kernels::fma_flushed(a.f[i], b.f[i], c.f[i]); });
}

HADAL_OP Floats max_floats(Floats a, Floats b) {
  return make_floats([&](int i) { return a.f[i] > b.f[i] ? a.f[i] : b.f[i]; });
}

HADAL_OP Floats to_floats(Ints a) {
  return make_floats([&](int i) { return static_cast<float>(a.lane<int32_t>(i)); });
}

// The F16 in the low half of each lane.

HADAL_OP Floats halves_to_floats(Ints a) {
  return make_floats([&](int i) { return f16_to_float(a.lane<uint16_t>(2 * i)); });
}

// To the nearest whole number, ties to even; |x| < 2^31.

HADAL_OP Ints to_ints(Floats a) {
  return make<int32_t>([&](int i) { return static_cast<int32_t>(__builtin_rintf(a.f[i])); });
}

HADAL_OP Ints as_ints(Floats a) {
  Ints v;
  __builtin_memcpy(&v, &a, 64);
  return v;
}

HADAL_OP Floats as_floats(Ints a) {
  Floats v;
  __builtin_memcpy(&v, &a, 64);
  return v;
}

}  // namespace hadal::kernels::wide_portable
