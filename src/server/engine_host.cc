#include "server/engine_host.h"

#include <ctime>
#include <filesystem>
#include <fstream>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/error.h"

namespace hadal::server {
namespace {

constexpr size_t read_block = size_t{4} << 20;
// Of the memory that programs may take, what the model's files may fill before they are read ahead.
constexpr double read_ahead_share = 0.8;

double process_cpu_s() {
  timespec now = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

int64_t available_bytes() {
  std::ifstream in("/proc/meminfo");
  for (std::string key; in >> key; in.ignore(1000, '\n'))
    if (int64_t kib = 0; key == "MemAvailable:" && in >> kib) return kib * 1024;
  return 0;
}

}  // namespace

EngineHost::EngineHost(const ModelOptions& options, Metrics& metrics, std::function<void()> ended)
    : options_(options), metrics_(metrics), ended_(std::move(ended)) {}

EngineHost::~EngineHost() {
  stop();
}

void EngineHost::stop() {
  stop_ = true;
  if (const ServedModel* served = model()) served->engine->wake();
  if (thread_.joinable()) thread_.join();
}

void EngineHost::start() {
  thread_ = std::thread([this] { run(); });
}

void EngineHost::set_stage(const std::string& stage) {
  const std::lock_guard lock(mutex_);
  status_.stage = stage;
}

EngineHost::Status EngineHost::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

infer::EngineLoad EngineHost::load() const {
  const std::lock_guard lock(mutex_);
  return load_;
}

void EngineHost::run() {
  try {
    load_model();
    if (!stop_) serve();
  } catch (const std::exception& error) {
    fail_all(error.what());
    ended_();
  }
}

// The engine is of no more use: nobody shall wait for it.
void EngineHost::fail_all(const std::string& message) {
  const std::lock_guard lock(mutex_);
  status_.state = State::failed;
  status_.error = message;
  for (const auto& [id, route] : routes_) {
    infer::Event event;
    event.id = id;
    event.kind = infer::Event::Kind::finish;
    event.reason = infer::FinishReason::error;
    event.text = message;
    route.generation->push(route.choice, std::move(event), 0);
  }
  routes_.clear();
}

void EngineHost::load_model() {
  set_stage("reading the files");
  read_files();
  if (stop_) return;
  set_stage("opening the model");
  served_ = open_served(options_);
  const std::lock_guard lock(mutex_);
  status_.state = State::ready;
  status_.stage = "ready";
  model_.store(served_.get(), std::memory_order_release);
}

// The files are mapped, and a page that is not in memory would stall every stream when it is first
// touched: so they are read once, in order, as fast as the disk goes. Not if they would not fit.
void EngineHost::read_files() {
  const std::vector<std::string> files = model_files(options_.path);
  int64_t total = 0;
  std::error_code ignored;
  for (const std::string& file : files)
    total += static_cast<int64_t>(std::filesystem::file_size(file, ignored));
  if (static_cast<double>(total) > read_ahead_share * static_cast<double>(available_bytes()))
    return;
  {
    const std::lock_guard lock(mutex_);
    status_.bytes = total;
  }
  std::vector<char> block(read_block);
  for (const std::string& file : files) {
    const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) continue;  // opening the model will say what is wrong
    for (ssize_t count = 1; count > 0 && !stop_;) {
      count = read(descriptor, block.data(), block.size());
      const std::lock_guard lock(mutex_);
      status_.bytes_done += std::max<ssize_t>(count, 0);
    }
    close(descriptor);
  }
}

void EngineHost::serve() {
  infer::Engine& engine = *served_->engine;
  while (!stop_) {
    const bool more_jobs = run_jobs();
    if (engine.idle() && !more_jobs) {
      {
        const std::lock_guard lock(mutex_);
        load_ = engine.load();
      }
      engine.wait();
      continue;
    }
    const double before = process_cpu_s();
    const std::span<const infer::Event> events = engine.step();
    dispatch(events, process_cpu_s() - before);
  }
}

bool EngineHost::run_jobs() {
  std::vector<Job> jobs;
  {
    const std::lock_guard lock(mutex_);
    jobs.swap(jobs_);
  }
  std::vector<Job> unfinished;
  for (Job& job : jobs)
    if (!job()) unfinished.push_back(std::move(job));
  const std::lock_guard lock(mutex_);
  jobs_.insert(jobs_.begin(), std::make_move_iterator(unfinished.begin()),
               std::make_move_iterator(unfinished.end()));
  return !jobs_.empty();
}

// The step's cost is shared by those who had a part in it. A piece of a prompt counts as one part
// like a token: exact shares would need the plan, and the sum is what matters.
void EngineHost::dispatch(std::span<const infer::Event> events, double cpu_s) {
  const double share = events.empty() ? 0 : cpu_s / static_cast<double>(events.size());
  std::vector<std::shared_ptr<Generation>> too_slow;
  const std::lock_guard lock(mutex_);
  for (const infer::Event& event : events) {
    metrics_.count(event);
    const auto found = routes_.find(event.id);
    if (found == routes_.end()) continue;
    const bool room = found->second.generation->push(found->second.choice, event, share);
    if (!room)
      for (const uint64_t id : found->second.generation->ids()) served_->engine->cancel(id);
    if (event.kind == infer::Event::Kind::finish) routes_.erase(found);
  }
  load_ = served_->engine->load();
}

void EngineHost::submit(const std::shared_ptr<Generation>& generation,
                        std::vector<infer::Request> requests) {
  // Under the lock, so that no event can come before its route is known.
  const std::lock_guard lock(mutex_);
  if (status_.state != State::ready) fail(ErrorKind::unsupported, "{}", status_.error);
  std::vector<uint64_t> done;
  try {
    for (size_t i = 0; i < requests.size(); ++i) {
      const uint64_t id = served_->engine->submit(std::move(requests[i]));
      done.push_back(id);
      generation->set_id(i, id);
      routes_[id] = {generation, i};
    }
  } catch (...) {
    for (const uint64_t id : done) {
      routes_.erase(id);
      served_->engine->cancel(id);
    }
    throw;
  }
}

void EngineHost::cancel(const Generation& generation) {
  for (const uint64_t id : generation.ids())
    if (id != 0) served_->engine->cancel(id);
}

void EngineHost::cancel_all() {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, route] : routes_) served_->engine->cancel(id);
}

void EngineHost::run_job(Job job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  served_->engine->wake();
}

}  // namespace hadal::server
