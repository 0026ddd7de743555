#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace hadal::train {

double Schedule::factor(double progress) const {
  const double p = std::clamp(progress, 0.0, 1.0);
  const double rise = warmup > 0 ? std::min(1.0, p / warmup) : 1.0;
  double fall = 1.0;
  if (shape == Shape::wsd)
    fall = decay > 0 ? std::min(1.0, (1.0 - p) / decay) : 1.0;
  else if (p > warmup)
    fall = 0.5 * (1.0 + std::cos(std::numbers::pi * (p - warmup) / (1.0 - warmup)));
  return std::min(rise, floor + (1.0 - floor) * fall);
}

}  // namespace hadal::train
