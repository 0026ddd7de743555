// Elementwise parts, of training most of them, sixteen numbers at a time.
#include "kernels/avx512/exp.h"
#include "kernels/avx512/product_entries.h"

namespace hadal::kernels::HADAL_WIDE {
namespace {

// body(i, count) for whole vectors, then for the rest; count is a constant where it is sixteen.
template <class Body>
HADAL_OP void vectors(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) body(i, 16);
  if (i < n) body(i, static_cast<int>(n - i));
}

HADAL_OP Floats get(const float* p, int count) {
  return count == 16 ? load_floats(p) : load_floats_first(p, count);
}
HADAL_OP void put(float* p, int count, Floats v) {
  count == 16 ? store_floats(p, v) : store_floats_first(p, count, v);
}

HADAL_OP uint32_t lanes(int count) {
  return (1u << count) - 1;
}

HADAL_OP float sqrt_float(float x) {
  return __builtin_sqrtf(x);
}

// 1 / (1 + exp(-g))
HADAL_OP Floats sigmoid(Floats g) {
  const Floats one = set_floats(1.0f);
  return div_floats(one, add_floats(one, exp16(negative(g))));
}

// To nearest even, NaN quiet, in the high halves.
HADAL_OP Ints round_bf16(Floats x) {
  const Ints u = as_ints(x);
  const Ints odd = bit_and(shift_right32<16>(u), set32(1));
  const Ints rounded = add32(u, add32(odd, set32(0x7fff)));
  return blend32(unordered_floats(x, x), rounded, bit_or(u, set32(0x400000)));
}

// The high halves of a's lanes, then of b's.
HADAL_OP Ints high_halves(Ints a, Ints b) {
  const Ints order = pattern<[](int i) { return i / 2 * 4 + 2 + i % 2; }>();
  return permute_bytes2(order, a, b);
}

}  // namespace

void float_to_bf16(const float* x, int64_t n, uint16_t* y) {
  int64_t i = 0;
  for (; i + 32 <= n; i += 32)
    store(y + i, high_halves(round_bf16(load_floats(x + i)), round_bf16(load_floats(x + i + 16))));
  if (i == n) return;
  const int rest = static_cast<int>(n - i);
  const Floats a = load_floats_first(x + i, rest < 16 ? rest : 16);
  const Floats b = rest > 16 ? load_floats_first(x + i + 16, rest - 16) : zero_floats();
  store_first(y + i, 2 * rest, high_halves(round_bf16(a), round_bf16(b)));
}

void add_scaled(float a, const float* x, int64_t n, float* y) {
  const Floats factor = set_floats(a);
  vectors(n, [&](int64_t i, int count) __attribute__((always_inline)) {
    put(y + i, count, fma(factor, get(x + i, count), get(y + i, count)));
  });
}

void scale(float a, const float* x, int64_t n, float* y) {
  const Floats factor = set_floats(a);
  vectors(n, [&](int64_t i, int count) __attribute__((always_inline)) {
    put(y + i, count, mul_floats(factor, get(x + i, count)));
  });
}

void silu_mul(const float* gate, const float* up, int64_t n, float* y) {
  vectors(n, [&](int64_t i, int count) __attribute__((always_inline)) {
    const Floats g = get(gate + i, count);
    const Floats silu = div_floats(g, add_floats(set_floats(1.0f), exp16(negative(g))));
    put(y + i, count, mul_floats(silu, get(up + i, count)));
  });
}

float dot(const float* a, const float* b, int64_t n) {
  Floats sum = zero_floats();
  vectors(n, [&](int64_t i, int count) __attribute__((always_inline)) {
    sum = fma(get(a + i, count), get(b + i, count), sum);
  });
  return sum_lanes(sum);
}

float softmax_scaled(float* x, int64_t n, float scale, float* top) {
  const Floats factor = set_floats(scale), lowest = set_floats(-__builtin_inff());
  Floats max = lowest;
  vectors(n, [&](int64_t i, int count) __attribute__((always_inline)) {
    const Floats v = mul_floats(factor, get(x + i, count));
    max = max_floats(count == 16 ? v : blend_floats(lanes(count), lowest, v), max);
  });
  *top = max_lanes(max);
  const Floats minus_top = set_floats(-*top);
  Floats sum = zero_floats();
  vectors(n, [&](int64_t i, int count) __attribute__((always_inline)) {
    const Floats e = exp16_below_80(fma(factor, get(x + i, count), minus_top));
    put(x + i, count, e);
    sum = count == 16 ? add_floats(sum, e) : blend_floats(lanes(count), sum, add_floats(sum, e));
  });
  return sum_lanes(sum);
}

float softmax(float* x, int64_t n) {
  float top;
  return softmax_scaled(x, n, 1.0f, &top);
}

void merge(const float* o, int64_t o_stride, int64_t pieces, const float* factors, float last,
           int64_t width, float* out) {
  vectors(width, [&](int64_t c, int count) __attribute__((always_inline)) {
    Floats sum = get(o + c, count);
    for (int64_t i = 1; i < pieces; ++i) {
      const Floats before = mul_floats(sum, set_floats(factors[2 * i - 2]));
      const Floats piece =
          mul_floats(get(o + i * o_stride + c, count), set_floats(factors[2 * i - 1]));
      sum = add_floats(before, piece);
    }
    put(out + c, count, mul_floats(sum, set_floats(last)));
  });
}

void score_derivatives(float* s, float* dp, int64_t n, float scale, const float* log_sums,
                       const float* d) {
  const Floats factor = set_floats(scale);
  vectors(n, [&](int64_t i, int count) __attribute__((always_inline)) {
    const Floats p = exp16(fma(factor, get(s + i, count), negative(get(log_sums + i, count))));
    const Floats difference = sub_floats(get(dp + i, count), get(d + i, count));
    put(s + i, count, p);
    put(dp + i, count, mul_floats(factor, mul_floats(p, difference)));
  });
}

void silu_mul_backward(const float* g, const float* u, const float* dh, float weight, int64_t n,
                       float* dg, float* du, float* h) {
  const Floats one = set_floats(1.0f), w = set_floats(weight);
  vectors(n, [&](int64_t i, int count) __attribute__((always_inline)) {
    const Floats gate = get(g + i, count), up = get(u + i, count);
    const Floats q = sigmoid(gate);
    const Floats s = mul_floats(gate, q), e = mul_floats(w, get(dh + i, count));
    put(du + i, count, mul_floats(e, s));
    put(dg + i, count, mul_floats(mul_floats(e, up), fma(s, sub_floats(one, q), q)));
    put(h + i, count, mul_floats(s, up));
  });
}

void rms_norm_backward(const float* x, const float* w, const float* dy, float eps, int64_t n,
                       bool add, float* dx, float* dw) {
  Floats squares = zero_floats(), products = zero_floats();
  vectors(n, [&](int64_t i, int count) __attribute__((always_inline)) {
    const Floats v = get(x + i, count);
    squares = fma(v, v, squares);
    products = fma(mul_floats(get(w + i, count), get(dy + i, count)), v, products);
  });
  const float mean = sum_lanes(squares) / static_cast<float>(n);
  const float s = 1.0f / sqrt_float(mean + eps);
  const float k = s * s * s * sum_lanes(products) / static_cast<float>(n);
  const Floats scale = set_floats(s), shrink = set_floats(k);
  vectors(n, [&](int64_t i, int count) __attribute__((always_inline)) {
    const Floats v = get(x + i, count), derivative = get(dy + i, count);
    const Floats t = mul_floats(get(w + i, count), derivative);
    const Floats d = fma(scale, t, negative(mul_floats(shrink, v)));
    put(dw + i, count, fma(mul_floats(scale, v), derivative, get(dw + i, count)));
    put(dx + i, count, add ? add_floats(get(dx + i, count), d) : d);
  });
}

}  // namespace hadal::kernels::HADAL_WIDE
