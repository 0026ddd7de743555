// The engine's thread: loads the model while the port is open already, steps while there is work,
// and hands each event to the generation that waits for it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "infer/request.h"
#include "server/generation.h"
#include "server/metrics.h"
#include "server/served_model.h"

namespace hadal::server {

class EngineHost {
 public:
  enum class State { loading, ready, failed };
  struct Status {
    State state = State::loading;
    std::string stage;                  // loading: what is done now
    int64_t bytes_done = 0, bytes = 0;  // of the model's files, read into memory
    std::string error;                  // failed
  };

  // ended: called on the engine's thread if the model cannot be opened, or computing breaks down.
  EngineHost(const ModelOptions& options, Metrics& metrics, std::function<void()> ended);
  ~EngineHost();
  EngineHost(const EngineHost&) = delete;
  EngineHost& operator=(const EngineHost&) = delete;

  void start();
  // Joins the thread: nothing that waits will be answered. Happens at the end at the latest.
  void stop();
  Status status() const;
  // Null until the model is there. It stays until the host dies.
  const ServedModel* model() const { return model_.load(std::memory_order_acquire); }

  // Queues one request per choice. Throws as Engine::submit; then none is queued.
  void submit(const std::shared_ptr<Generation>& generation, std::vector<infer::Request> requests);
  void cancel(const Generation& generation);
  // Ends all that runs, as cancelled.
  void cancel_all();

  // Work for the engine's thread between two steps. It is called again and again until it says
  // true; it must not throw.
  using Job = std::function<bool()>;
  void run_job(Job job);

  infer::EngineLoad load() const;

 private:
  struct Route {
    std::shared_ptr<Generation> generation;
    size_t choice = 0;
  };

  void run();
  void load_model();
  void read_files();
  void serve();
  bool run_jobs();
  void dispatch(std::span<const infer::Event> events, double cpu_s);
  void fail_all(const std::string& message);
  void set_stage(const std::string& stage);

  const ModelOptions options_;
  Metrics& metrics_;
  std::function<void()> ended_;
  std::unique_ptr<ServedModel> served_;
  std::atomic<const ServedModel*> model_ = nullptr;
  std::atomic<bool> stop_ = false;

  mutable std::mutex mutex_;  // of what follows
  Status status_;
  std::unordered_map<uint64_t, Route> routes_;
  std::vector<Job> jobs_;
  infer::EngineLoad load_;

  std::thread thread_;
};

}  // namespace hadal::server
