#include "quant/search.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace hadal::quant {
namespace {

// Four lanes, so that SSE does the passes without intrinsics.
using Lanes = float __attribute__((vector_size(16)));

inline Lanes load(const float* x) {
  Lanes v;
  std::memcpy(&v, x, sizeof v);
  return v;
}
inline Lanes all(float x) {
  return Lanes{x, x, x, x};
}
inline float sum(Lanes v) {
  return (v[0] + v[2]) + (v[1] + v[3]);
}
inline Lanes rounded(Lanes v) {
  const Lanes magic = all(12582912.0f);
  return (v + magic) - magic;
}
inline Lanes limited(Lanes v, Lanes low, Lanes high) {
  v = v < low ? low : v;
  return v > high ? high : v;
}

}  // namespace

AffineFit fit_affine(const float* x, const float* importance, int n, int last) {
  float low = 0.0f, high = x[0];
  float s_w = 0.0f, s_x = 0.0f, s_xx = 0.0f;  // weighted sums of 1, x, x^2
  float weighted[32];
  for (int j = 0; j < n; ++j) {
    low = std::min(low, x[j]);
    high = std::max(high, x[j]);
    weighted[j] = importance[j] * x[j];
    s_w += importance[j];
    s_x += weighted[j];
    s_xx += weighted[j] * x[j];
  }
  if (high - low < 1e-30f) return {0.0f, -low};

  AffineFit best{(high - low) / static_cast<float>(last), -low};
  float best_error = s_xx * 2.0f + 1e-30f;
  const auto attempt = [&](float inverse, float min) {
    Lanes l = all(0.0f), ll = l, lx = l;  // weighted sums of level, level^2, level * x
    for (int j = 0; j < n; j += 4) {
      const Lanes level = limited(rounded(all(inverse) * (load(x + j) + all(min))), all(0.0f),
                                  all(static_cast<float>(last)));
      const Lanes w_level = load(importance + j) * level;
      l += w_level;
      ll += w_level * level;
      lx += load(weighted + j) * level;
    }
    const float s_l = sum(l), s_ll = sum(ll), s_lx = sum(lx);
    const float determinant = s_w * s_ll - s_l * s_l;
    if (!(determinant > 0.0f)) return;
    float scale = (s_w * s_lx - s_x * s_l) / determinant;
    float offset = (s_ll * s_x - s_l * s_lx) / determinant;
    if (offset > 0.0f) {  // the formats can only subtract
      offset = 0.0f;
      scale = s_lx / s_ll;
    }
    const float error = s_xx - scale * s_lx - offset * s_x;
    if (scale > 0.0f && error < best_error) {
      best_error = error;
      best = {scale, -offset};
    }
  };
  for (int step = -10; step <= 10; ++step) {
    const float delta = (last > 3 ? 0.1f : 0.08f) * static_cast<float>(step);
    attempt((static_cast<float>(last) + delta) / (high - low), -low);
  }
  for (int round = 0; round < 3; ++round) attempt(1.0f / best.scale, best.min);
  return best;
}

float fit_symmetric(const float* x, int n, int half) {
  float extreme = 0.0f;
  float importance[32], weighted[32];
  for (int j = 0; j < n; ++j) {
    if (std::fabs(x[j]) > std::fabs(extreme)) extreme = x[j];
    importance[j] = x[j] * x[j];
    weighted[j] = importance[j] * x[j];
  }
  if (std::fabs(extreme) < 1e-15f) return 0.0f;

  float best = -extreme / static_cast<float>(half), best_gain = 0.0f;
  const auto attempt = [&](float inverse) {
    Lanes ll = all(0.0f), lx = ll;
    for (int j = 0; j < n; j += 4) {
      const Lanes level =
          limited(rounded(all(inverse) * load(x + j)), all(static_cast<float>(-half)),
                  all(static_cast<float>(half - 1)));
      ll += load(importance + j) * level * level;
      lx += load(weighted + j) * level;
    }
    // The error is (sum w x^2) - lx^2 / ll: the gain is to be largest.
    const float s_ll = sum(ll), s_lx = sum(lx);
    if (s_ll > 0.0f && s_lx * s_lx > best_gain * s_ll) {
      best_gain = s_lx * s_lx / s_ll;
      best = s_lx / s_ll;
    }
  };
  for (int step = -9; step <= 9; ++step) {
    attempt(-(static_cast<float>(half) + 0.1f * static_cast<float>(step)) / extreme);
  }
  // The other sign: the extreme at the shorter end.
  attempt(static_cast<float>(half - 1) / extreme);
  for (int round = 0; round < 2; ++round) attempt(1.0f / best);
  return best;
}

}  // namespace hadal::quant
