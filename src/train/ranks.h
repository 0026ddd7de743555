// Processes that train one model together, on one machine or several: `mpirun -n 4 hadal train`.
// Every function here is called by all of them, in the same order. What they add up is exact, or
// added in an order that does not depend on how many they are.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

namespace hadal::train {

class Ranks {
 public:
  virtual ~Ranks() = default;
  int rank() const { return rank_; }
  int size() const { return size_; }
  int on_this_machine() const { return on_this_machine_; }
  bool is_first() const { return rank_ == 0; }

  // Each element's sum over the ranks, at all of them. Of doubles: each element is of one rank, and
  // zero at the others, so that nothing is rounded.
  virtual void sum(std::span<int64_t> values) = 0;
  virtual void sum(std::span<double> values) = 0;
  // `owner` has the values, afterwards all have them.
  virtual void broadcast(int owner, std::span<float> values) = 0;

  struct Message {
    int peer;  // another rank
    std::span<float> values;
  };
  // Messages between two ranks arrive in the order in which both name them.
  virtual void exchange(std::span<const Message> sent, std::span<const Message> received) = 0;

 protected:
  Ranks(int rank, int size, int on_this_machine)
      : rank_(rank), size_(size), on_this_machine_(on_this_machine) {}

 private:
  int rank_, size_, on_this_machine_;
};

// Those that mpirun started; one alone where it did not. Throws Error(unsupported) if it did and
// this program was built without MPI. Once in a process. One that leaves by an exception does not
// take leave of the others: mpirun sees that, and ends them.
std::unique_ptr<Ranks> join_ranks();

// One process alone: nothing is sent.
Ranks& alone();

}  // namespace hadal::train
