#include "server/generation.h"

#include <utility>

namespace hadal::server {
namespace {

size_t bytes_of(const infer::Event& event) {
  return sizeof(Generation::Item) + event.text.size() +
         event.top.size() * sizeof(infer::TokenLogprob);
}

}  // namespace

void Generation::set_waker(std::weak_ptr<Waker> waker) {
  const std::lock_guard lock(mutex_);
  waker_ = std::move(waker);
}

bool Generation::push(size_t choice, infer::Event event, double cpu_s) {
  std::shared_ptr<Waker> waker;
  bool room = true;
  const infer::Event::Kind event_kind = event.kind;
  {
    const std::lock_guard lock(mutex_);
    cpu_s_ += cpu_s;
    // How far the prompt is matters only once.
    const bool replaces = event.kind == infer::Event::Kind::progress && !items_.empty() &&
                          items_.back().event.kind == event.kind && items_.back().choice == choice;
    if (replaces) items_.pop_back();
    if (event.kind != infer::Event::Kind::finish && bytes_ + bytes_of(event) > bytes_max_)
      overflowed_ = true;
    room = !overflowed_;
    if (room || event.kind == infer::Event::Kind::finish) {
      bytes_ += replaces ? 0 : bytes_of(event);
      items_.push_back({choice, std::move(event)});
    }
    const bool must = event_kind == infer::Event::Kind::finish || bytes_ > bytes_max_ / 4;
    if (eager_ || must || !room) waker = waker_.lock();
  }
  if (waker) waker->wake();
  return room;
}

std::vector<Generation::Item> Generation::take() {
  const std::lock_guard lock(mutex_);
  bytes_ = 0;
  return std::exchange(items_, {});
}

bool Generation::overflowed() const {
  const std::lock_guard lock(mutex_);
  return overflowed_;
}

double Generation::cpu_s() const {
  const std::lock_guard lock(mutex_);
  return cpu_s_;
}

}  // namespace hadal::server
