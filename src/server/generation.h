// An answer under way: the bounded hand-over between the engine's thread, which never waits for a
// client, and the network thread that writes it out.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "infer/request.h"
#include "server/http.h"

namespace hadal::server {

class Generation {
 public:
  struct Item {
    size_t choice = 0;
    infer::Event event;
  };

  // bytes_max: what may wait for the network; more means that the client does not read. eager: the
  // network is woken for each event; else only when it has to come: at the end, or to make room.
  Generation(size_t choices, size_t bytes_max, bool eager)
      : bytes_max_(bytes_max), eager_(eager), ids_(choices) {}

  void set_waker(std::weak_ptr<Waker> waker);

  // ---- the engine's side
  // cpu_s: the processor seconds that the event cost. False if there is no room: then the rest of
  // the generation is of no use.
  bool push(size_t choice, infer::Event event, double cpu_s);
  void set_id(size_t choice, uint64_t id) { ids_[choice] = id; }
  const std::vector<uint64_t>& ids() const { return ids_; }

  // ---- the network's side
  std::vector<Item> take();
  bool overflowed() const;
  double cpu_s() const;

 private:
  mutable std::mutex mutex_;
  std::weak_ptr<Waker> waker_;
  std::vector<Item> items_;
  size_t bytes_ = 0;
  const size_t bytes_max_;
  const bool eager_;
  bool overflowed_ = false;
  double cpu_s_ = 0;
  std::vector<uint64_t> ids_;  // of the engine, by choice; set before anyone else looks
};

}  // namespace hadal::server
