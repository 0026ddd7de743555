// How the learning rate goes over a run.
#pragma once

#include <cstdint>

namespace hadal::train {

struct Schedule {
  enum class Shape : uint8_t {
    wsd,     // warm-up, constant, linear decay (MiniCPM, arXiv 2404.06395)
    cosine,  // warm-up, half a cosine
  };
  Shape shape = Shape::wsd;
  double warmup = 0.02;  // share of the run in which the rate rises from 0
  double decay = 0.4;    // wsd: share of the run, its end, in which it falls
  double floor = 0;      // what is left at the end, as a share of the full rate

  // The share of the full rate at `progress` of the run, in [0, 1].
  double factor(double progress) const;
};

}  // namespace hadal::train
