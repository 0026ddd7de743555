// Where the time of a step goes, for bench/train: the thread that calls Network::step measures
// whole phases; time inside a nested phase counts for that phase alone.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace hadal::train {

enum class Part : uint8_t {
  other,  // everything outside the phases below
  projections_forward,
  projections_backward,
  attention_forward,
  attention_backward,
  feed_forward,  // dense layers
  feed_backward,
  router_forward,
  router_backward,
  experts_forward,
  experts_backward,
  norms,
  head,
  gradients,  // of weights: dy^T x
  embedding,
  refresh,
};
constexpr size_t part_count = static_cast<size_t>(Part::refresh) + 1;
constexpr std::array<const char*, part_count> part_names = {
    "other",
    "attention's projections",
    "attention's projections, backward",
    "attention",
    "attention, backward",
    "dense feed-forward",
    "dense feed-forward, backward",
    "router",
    "router, backward",
    "experts",
    "experts, backward",
    "norms and residual stream",
    "head and loss, both ways",
    "gradients of weights",
    "embedding, both ways",
    "operands from weights",
};

// One for the process: steps are taken by one thread at a time.
struct Profile {
  using Clock = std::chrono::steady_clock;
  std::array<double, part_count> seconds{};
  Part current = Part::other;
  Clock::time_point since = Clock::now();

  void enter(Part part) {
    const Clock::time_point now = Clock::now();
    seconds[static_cast<size_t>(current)] += std::chrono::duration<double>(now - since).count();
    since = now;
    current = part;
  }
};
inline Profile& profile() {
  static Profile profile;
  return profile;
}

class Timed {
 public:
  explicit Timed(Part part) : before_(profile().current) { profile().enter(part); }
  ~Timed() { profile().enter(before_); }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  Part before_;
};

}  // namespace hadal::train
