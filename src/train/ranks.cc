#include "train/ranks.h"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <vector>

#include "base/error.h"

#ifdef HADAL_MPI
#include <mpi.h>
#endif

namespace hadal::train {
namespace {

class OneRank final : public Ranks {
 public:
  OneRank() : Ranks(0, 1, 1) {}
  void sum(std::span<int64_t>) override {}
  void sum(std::span<double>) override {}
  void broadcast(int, std::span<float>) override {}
  void exchange(std::span<const Message>, std::span<const Message>) override {}
};

#ifdef HADAL_MPI

constexpr size_t count_max = size_t{1} << 30;  // MPI counts in int

int rank_of(MPI_Comm group) {
  int out = 0;
  MPI_Comm_rank(group, &out);
  return out;
}

int size_of(MPI_Comm group) {
  int out = 1;
  MPI_Comm_size(group, &out);
  return out;
}

int size_here() {
  MPI_Comm here = MPI_COMM_NULL;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here);
  const int out = size_of(here);
  MPI_Comm_free(&here);
  return out;
}

// MPI's own handler ends all ranks with a message when a call fails.
class MpiRanks final : public Ranks {
 public:
  MpiRanks() : Ranks(rank_of(MPI_COMM_WORLD), size_of(MPI_COMM_WORLD), size_here()) {}
  ~MpiRanks() override {
    if (std::uncaught_exceptions() == 0) MPI_Finalize();
  }
  MpiRanks(const MpiRanks&) = delete;
  MpiRanks& operator=(const MpiRanks&) = delete;

  void sum(std::span<int64_t> values) override { sum_all(values, MPI_INT64_T); }
  void sum(std::span<double> values) override { sum_all(values, MPI_DOUBLE); }

  void broadcast(int owner, std::span<float> values) override {
    in_pieces(values, [&](std::span<float> piece) {
      MPI_Bcast(piece.data(), static_cast<int>(piece.size()), MPI_FLOAT, owner, MPI_COMM_WORLD);
    });
  }

  void exchange(std::span<const Message> sent, std::span<const Message> received) override {
    std::vector<MPI_Request> open;
    const auto add = [&](const Message& message, auto start) {
      in_pieces(message.values, [&](std::span<float> piece) {
        open.push_back(MPI_REQUEST_NULL);
        start(piece.data(), static_cast<int>(piece.size()), MPI_FLOAT, message.peer, 0,
              MPI_COMM_WORLD, &open.back());
      });
    };
    for (const Message& message : received) add(message, MPI_Irecv);
    for (const Message& message : sent) add(message, MPI_Isend);
    MPI_Waitall(static_cast<int>(open.size()), open.data(), MPI_STATUSES_IGNORE);
  }

 private:
  template <class T>
  void sum_all(std::span<T> values, MPI_Datatype type) {
    MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), type, MPI_SUM,
                  MPI_COMM_WORLD);
  }
  template <class Body>
  static void in_pieces(std::span<float> values, const Body& body) {
    for (size_t at = 0; at < values.size(); at += count_max)
      body(values.subspan(at, std::min(count_max, values.size() - at)));
  }
};

std::unique_ptr<Ranks> join_mpi() {
  // One thread of each process calls MPI.
  int provided = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
  return std::make_unique<MpiRanks>();
}

#else

std::unique_ptr<Ranks> join_mpi() {
  fail(ErrorKind::unsupported,
       "mpirun started this, but this hadal was built without MPI: install libopenmpi-dev, then "
       "configure and build it again");
}

#endif

}  // namespace

std::unique_ptr<Ranks> join_ranks() {
  if (std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr) return join_mpi();
  return std::make_unique<OneRank>();
}

Ranks& alone() {
  static OneRank one;
  return one;
}

}  // namespace hadal::train
