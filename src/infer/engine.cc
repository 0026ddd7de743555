#include "infer/engine.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <random>
#include <string>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "infer/disk_prefixes.h"
#include "infer/engine_limits.h"
#include "infer/kv_pages.h"
#include "infer/scheduler.h"
#include "infer/sequence.h"
#include "infer/speculation.h"
#include "infer/step_pacer.h"

namespace hadal::infer {
namespace {

constexpr int64_t page_tokens = KvPages::page_tokens;

int64_t pages_for(int64_t positions) {
  return (positions + page_tokens - 1) / page_tokens;
}

uint64_t random_seed() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

}  // namespace

struct Engine::Impl {
  Impl(const LoadedModel& loaded, ThreadPool& thread_pool, const EngineOptions& wanted,
       const EngineSizes& sizes)
      : model(loaded),
        pool(thread_pool),
        options(wanted),
        context(sizes.context),
        forms_differ(loaded.model->config.is_mla()),
        cache(loaded.model->config, wanted.cache_type, sizes.pages),
        pages(sizes.pages),
        runner(*loaded.model, wanted.precision, thread_pool, wanted.step_tokens),
        pacer(wanted.step_tokens, wanted.stall_max) {
    for (int i = 0; i < pool.threads(); ++i) samplers.emplace_back(loaded.model->config.vocab_size);
    runner.set_interrupt([this] { return in_vain(); });
    if (wanted.drafts != 0 && !loaded.model->mtp.empty())
      speculation.emplace(runner, cache, pages, pool, samplers, wanted.drafts);
    if (!wanted.disk.folder.empty() && wanted.reuse_prefixes)
      disk = std::make_unique<DiskPrefixes>(wanted.disk, cache, pages,
                                            speculation ? &*speculation : nullptr,
                                            loaded.model->config.layers, [this] { wake(); });
  }
  // Its threads end before what they wake.
  ~Impl() { disk.reset(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void wake();
  void take_inbox();
  bool in_vain();
  void reuse_prefix(Sequence& sequence);
  bool load_prefix(Sequence& sequence, const std::unordered_set<uint64_t>& computing);
  void wait_loaded();
  SequenceView view_of(Sequence& sequence, std::unordered_set<uint64_t>& computing);
  void apply(const Plan& plan);
  void compute(const Plan& plan);
  void compute_timed(const Plan& plan);
  void share_pages(Sequence& sequence);
  // A sequence with a row of logits, and one for each of its drafts behind it.
  struct Row {
    Sequence* sequence;
    size_t logits;  // the first row
    size_t drafts;
    Sampled sampled;
    std::vector<TokenLogprob> top;
  };
  void sample(std::span<const float> logits);
  void draw(std::span<const float> logits, size_t round);
  bool take(Row& row, size_t round);
  void give_back_pages(Sequence& sequence);
  Sequence& find(uint64_t id);

  // Tokens whose pages may be shared: those computed in the form in which a prompt would be.
  int64_t reusable(const Sequence& sequence) const {
    if (!options.reuse_prefixes) return 0;
    return forms_differ ? sequence.prompt_size() : sequence.known();
  }
  // Pages that a sequence may take from others: its last token is always computed, for its logits.
  int64_t takeable_pages(const Sequence& sequence) const {
    return std::min(reusable(sequence), sequence.known() - 1) / page_tokens;
  }

  const LoadedModel& model;
  ThreadPool& pool;
  const EngineOptions options;
  const int64_t context;
  const bool forms_differ;
  model::KvCache cache;
  KvPages pages;
  model::Runner runner;
  StepPacer pacer;
  std::vector<Sampler> samplers;  // by thread
  std::optional<Speculation> speculation;
  std::unique_ptr<DiskPrefixes> disk;

  std::vector<std::unique_ptr<Sequence>> sequences;  // in order of arrival
  std::vector<Event> events;
  const Plan* planned = nullptr;  // while the forward pass runs
  // Of one step.
  std::vector<Speculation::Part> parts;
  std::vector<Row> rows;

  std::once_flag vocabulary_made;
  std::shared_ptr<const grammar::Vocabulary> vocabulary;

  // ---- shared with other threads, under the mutex
  std::mutex mutex;
  std::condition_variable arrived;
  std::vector<std::unique_ptr<Sequence>> inbox;
  std::vector<uint64_t> cancels;
  bool woken = false;
  uint64_t last_id = 0;
  std::atomic<int64_t> live = 0;  // sequences in inbox and queue
};

void Engine::Impl::take_inbox() {
  std::vector<uint64_t> cancelled;
  {
    const std::lock_guard lock(mutex);
    for (auto& sequence : inbox) sequences.push_back(std::move(sequence));
    inbox.clear();
    cancelled.swap(cancels);
    woken = false;
  }
  for (const uint64_t id : cancelled)
    for (auto& sequence : sequences)
      if (sequence->id() == id && !sequence->finished())
        sequence->finish(FinishReason::cancelled, "", events);
}

// Whether nobody waits for what the forward pass is computing.
bool Engine::Impl::in_vain() {
  if (options.interrupted && options.interrupted()) return true;
  const std::lock_guard lock(mutex);
  return !cancels.empty() && std::ranges::all_of(planned->chunks, [&](const Plan::Chunk& chunk) {
    return std::ranges::find(cancels, chunk.id) != cancels.end();
  });
}

// Takes the pages that follow the computed ones from the prefix tree, as far as it has them.
void Engine::Impl::reuse_prefix(Sequence& sequence) {
  if (sequence.computed % page_tokens != 0) return;
  const int64_t most = takeable_pages(sequence);
  for (int64_t i = sequence.computed / page_tokens; i < most; ++i) {
    const int32_t parent = i > 0 ? sequence.pages.back() : KvPages::none;
    const int32_t page =
        pages.find(sequence.page_key(i), sequence.request().owner, parent, sequence.page(i));
    if (page == KvPages::none) return;
    pages.acquire(page);
    sequence.pages.push_back(page);
    sequence.computed += page_tokens;
    sequence.shared_pages = sequence.disk.saved_pages = i + 1;
    sequence.count_cached(page_tokens);
    if (speculation) speculation->took(sequence, page);
  }
}

// Whether a running sequence has to wait for pages that are read from disk. Who needs the same ones
// as an older sequence is held without that.
bool Engine::Impl::load_prefix(Sequence& sequence, const std::unordered_set<uint64_t>& computing) {
  if (!disk) return false;
  const int64_t most = takeable_pages(sequence), next = sequence.computed / page_tokens;
  if (next < most && computing.contains(sequence.page_key(next))) return false;
  return disk->load(sequence, most);
}

void Engine::Impl::wait_loaded() {
  using namespace std::chrono_literals;
  std::unique_lock lock(mutex);
  // Not for long: an interrupt may come without a notice.
  arrived.wait_for(lock, 20ms, [&] { return woken || !inbox.empty() || !cancels.empty(); });
}

SequenceView Engine::Impl::view_of(Sequence& sequence, std::unordered_set<uint64_t>& computing) {
  SequenceView view;
  view.id = sequence.id();
  view.running = sequence.running;
  view.known = sequence.known();
  view.computed = sequence.computed;
  const int64_t most = takeable_pages(sequence);
  if (sequence.running) {
    view.pages_held = static_cast<int64_t>(sequence.pages.size());
    for (const int32_t page : sequence.pages) view.pages_others += pages.references(page) > 1;
  } else {
    int32_t page = KvPages::none;
    for (int64_t i = 0; i < most; ++i) {
      page = pages.find(sequence.page_key(i), sequence.request().owner, page, sequence.page(i));
      if (page == KvPages::none) break;
      ++view.pages_held;
      view.pages_others += pages.references(page) > 0;
    }
    view.computed = view.pages_held * page_tokens;
    // It is admitted and waits for them then.
    view.held = disk && view.pages_held < most && disk->has(sequence, view.pages_held);
  }
  if (!sequence.drafting.tokens.empty())
    view.drafts = static_cast<int64_t>(sequence.drafting.tokens.size()) - 1;
  const bool in_prompt = view.computed < sequence.prompt_size();
  view.chunk_end = forms_differ && in_prompt ? sequence.prompt_size() : view.known;
  // Two that need the same page next: the older computes it, the younger takes it in a later step.
  const int64_t next = view.computed / page_tokens;
  if ((next + 1) * page_tokens <= std::min(reusable(sequence), view.known)) {
    const bool first = computing.insert(sequence.page_key(next)).second;
    view.held |= !first && next < most && view.computed % page_tokens == 0;
  }
  return view;
}

Sequence& Engine::Impl::find(uint64_t id) {
  const auto found =
      std::lower_bound(sequences.begin(), sequences.end(), id,
                       [](const auto& sequence, uint64_t value) { return sequence->id() < value; });
  HADAL_CHECK(found != sequences.end() && (*found)->id() == id, "sequence {} is unknown", id);
  return **found;
}

void Engine::Impl::give_back_pages(Sequence& sequence) {
  if (disk) disk->give_back(sequence);
  // From the end, so that of a prefix the beginning, which more sequences share, stays longest.
  for (size_t i = sequence.pages.size(); i-- > 0;) pages.release(sequence.pages[i]);
  sequence.pages.clear();
  sequence.computed = 0;
  sequence.shared_pages = 0;
  sequence.drafting = {};
  sequence.running = false;
}

void Engine::Impl::apply(const Plan& plan) {
  for (const uint64_t id : plan.preempt) {
    Sequence& sequence = find(id);
    give_back_pages(sequence);
    sequence.preempted();
  }
  for (const uint64_t id : plan.admit) {
    Sequence& sequence = find(id);
    sequence.running = true;
    if (sequence.stats().preemptions == 0) sequence.started();
    if (speculation) speculation->admitted(sequence);
    reuse_prefix(sequence);
  }
  for (const Plan::Chunk& chunk : plan.chunks) {
    Sequence& sequence = find(chunk.id);
    const auto wanted = static_cast<size_t>(pages_for(sequence.computed + chunk.tokens));
    while (sequence.pages.size() < wanted) {
      sequence.pages.push_back(pages.allocate());
      if (speculation) speculation->allocated(sequence.pages.back());
    }
  }
}

void Engine::Impl::share_pages(Sequence& sequence) {
  const int64_t full = std::min(reusable(sequence), sequence.computed) / page_tokens;
  for (int64_t i = sequence.shared_pages; i < full; ++i) {
    int32_t& page = sequence.pages[static_cast<size_t>(i)];
    const int32_t parent = i > 0 ? sequence.pages[static_cast<size_t>(i - 1)] : KvPages::none;
    const int32_t own = page;
    page =
        pages.share(sequence.page_key(i), sequence.request().owner, parent, sequence.page(i), page);
    if (speculation && page != own) speculation->took(sequence, page);
    sequence.shared_pages = i + 1;
  }
}

void Engine::Impl::compute(const Plan& plan) {
  const auto start = Clock::now();
  std::vector<model::Segment> segments;
  rows.clear();
  parts.clear();
  int64_t first_row = 0;
  size_t logits_rows = 0;
  for (const Plan::Chunk& chunk : plan.chunks) {
    Sequence& sequence = find(chunk.id);
    const int64_t end = sequence.computed + chunk.tokens;
    const int64_t drafts = std::max<int64_t>(0, end - sequence.known());
    model::Segment segment;
    segment.start = sequence.computed;
    segment.tokens =
        drafts > 0 ? std::span<const int32_t>(sequence.drafting.tokens)
                   : std::span(sequence.tokens()).subspan(static_cast<size_t>(sequence.computed));
    segment.tokens = segment.tokens.first(static_cast<size_t>(chunk.tokens));
    segment.pages = sequence.pages;
    // Prompts are computed expanded and answers absorbed, also when they are computed again: so a
    // position has the same bits whatever happened to its sequence.
    segment.form = sequence.computed < sequence.prompt_size() ? model::AttentionForm::expanded
                                                              : model::AttentionForm::absorbed;
    const bool last = end >= sequence.known();
    segment.logits_from = chunk.tokens - drafts - (last ? 1 : 0);
    segments.push_back(segment);
    if (last) rows.push_back({&sequence, logits_rows, static_cast<size_t>(drafts), {}, {}});
    logits_rows += static_cast<size_t>(chunk.tokens - segment.logits_from);
    parts.push_back({&sequence, sequence.computed, first_row, chunk.tokens, drafts});
    first_row += chunk.tokens;
  }
  planned = &plan;
  const std::span<const float> logits = runner.forward(cache, segments);
  if (runner.interrupted()) return;
  for (const Speculation::Part& part : parts) {
    Sequence& sequence = *part.sequence;
    const bool was_prompt = sequence.computed < sequence.prompt_size();
    sequence.computed += part.rows - part.drafts;
    sequence.count_drafts(part.drafts, 0);
    share_pages(sequence);
    if (was_prompt && sequence.stats().generated_tokens == 0) sequence.prompt_advanced(events);
  }
  sample(logits);
  const std::chrono::duration<double> time = Clock::now() - start;
  if (speculation) speculation->finish(parts, time.count());
  if (disk)
    for (const Speculation::Part& part : parts) disk->save(*part.sequence);
}

void Engine::Impl::compute_timed(const Plan& plan) {
  int64_t decodes = 0, prompt_tokens = 0;
  for (const Plan::Chunk& chunk : plan.chunks) {
    const Sequence& sequence = find(chunk.id);
    const bool is_decode = sequence.computed + 1 == sequence.known();
    (is_decode ? decodes : prompt_tokens) += chunk.tokens;
  }
  const Clock::time_point begin = Clock::now();
  compute(plan);
  if (!runner.interrupted())
    pacer.took(decodes, prompt_tokens, std::chrono::duration<double>(Clock::now() - begin).count());
}

// In rounds: whether a sequence's next row counts is known when its draft was right.
void Engine::Impl::sample(std::span<const float> logits) {
  for (size_t round = 0; !rows.empty(); ++round) {
    draw(logits, round);
    size_t going_on = 0;
    for (Row& row : rows) {
      if (!take(row, round)) continue;
      if (&rows[going_on] != &row) rows[going_on] = std::move(row);
      ++going_on;
    }
    rows.resize(going_on);
  }
}

void Engine::Impl::draw(std::span<const float> logits, size_t round) {
  const auto vocab = static_cast<size_t>(model.model->config.vocab_size);
  pool.parallel_for(
      static_cast<int64_t>(rows.size()), 1, [&](int64_t begin, int64_t end, int thread) {
        Sampler& sampler = samplers[static_cast<size_t>(thread)];
        for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
          Row& row = rows[i];
          Sequence& sequence = *row.sequence;
          const SamplingParams& params = sequence.request().sampling;
          const std::span<const float> x = logits.subspan((row.logits + round) * vocab, vocab);
          if (const std::optional<int32_t> token = sequence.forced())
            row.sampled = sampler.force(x, params, *token, row.top);
          else if (sequence.find_allowed())
            row.sampled = sampler.sample(
                x, params, sequence.counts(), sequence.stats().seed, sequence.request().stream,
                static_cast<uint64_t>(sequence.known()), row.top, sequence.allowed());
          else
            row.sampled = {Sampled::Status::none_left};
        }
      });
}

// Gives the sequence its token. Whether the next row counts, too.
bool Engine::Impl::take(Row& row, size_t round) {
  Sequence& sequence = *row.sequence;
  switch (row.sampled.status) {
    case Sampled::Status::ok:
      sequence.accept(row.sampled, std::move(row.top), events);
      break;
    case Sampled::Status::not_finite:
      sequence.finish(FinishReason::error,
                      "the model's logits are not finite: its weights are broken, or overflow in "
                      "this precision",
                      events);
      break;
    case Sampled::Status::none_left:
      sequence.finish(FinishReason::error, sequence.why_none_left(), events);
      break;
  }
  if (row.drafts == 0) return false;
  const bool looked_at = round < row.drafts && !sequence.finished();
  const bool right = looked_at && row.sampled.token == sequence.drafting.tokens[round + 1];
  if (right) {
    ++sequence.computed;
    sequence.count_drafts(0, 1);
    return true;
  }
  speculation->checked(static_cast<int64_t>(row.drafts), static_cast<int64_t>(round), looked_at);
  return false;
}

Engine::Engine(const LoadedModel& model, ThreadPool& pool, const EngineOptions& options) {
  impl_ = std::make_unique<Impl>(model, pool, options, choose_sizes(model.model->config, options));
}

Engine::~Engine() = default;

uint64_t Engine::submit(Request request) {
  check_request(request, impl_->model, impl_->context);
  const int64_t left = impl_->context - static_cast<int64_t>(request.prompt.size());
  const int64_t tokens_max = request.max_tokens < 0 ? left : std::min(left, request.max_tokens);
  const uint64_t seed = request.sampling.seed ? *request.sampling.seed : random_seed();
  if (impl_->live >= impl_->options.waiting_max + impl_->options.sequences_max)
    fail(ErrorKind::limit, "{} requests wait already: try again later", impl_->options.waiting_max);
  uint64_t id = 0;
  {
    const std::lock_guard lock(impl_->mutex);
    id = ++impl_->last_id;
    impl_->inbox.push_back(
        std::make_unique<Sequence>(id, std::move(request), tokens_max, seed, impl_->model));
    ++impl_->live;
  }
  impl_->arrived.notify_all();
  return id;
}

void Engine::cancel(uint64_t id) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->cancels.push_back(id);
  }
  impl_->arrived.notify_all();
}

void Engine::Impl::wake() {
  {
    const std::lock_guard lock(mutex);
    woken = true;
  }
  arrived.notify_all();
}

void Engine::wake() {
  impl_->wake();
}

void Engine::wait() {
  std::unique_lock lock(impl_->mutex);
  impl_->arrived.wait(
      lock, [&] { return !impl_->inbox.empty() || !impl_->cancels.empty() || impl_->woken; });
  impl_->woken = false;
}

std::span<const Event> Engine::step() {
  Impl& e = *impl_;
  e.events.clear();
  e.take_inbox();
  const auto remove_finished = [&] {
    for (auto& sequence : e.sequences)
      if (sequence->finished()) e.give_back_pages(*sequence);
    e.live -= static_cast<int64_t>(
        std::erase_if(e.sequences, [](const auto& sequence) { return sequence->finished(); }));
  };
  remove_finished();
  if (e.sequences.empty()) return e.events;
  std::vector<SequenceView> views;
  std::unordered_set<uint64_t> computing;
  int64_t places = e.options.sequences_max;
  bool any_loading = false;
  if (e.disk) e.disk->begin_step();
  for (auto& sequence : e.sequences) {
    bool loading = false;
    if (sequence->running) {
      e.reuse_prefix(*sequence);
      loading = e.load_prefix(*sequence, computing);
    }
    if (places-- == 0) break;  // those behind cannot be admitted in this step
    views.push_back(e.view_of(*sequence, computing));
    views.back().held |= loading;
    any_loading |= loading;
  }
  int64_t longest = 0;  // of the prompts that are being read, as far as they are
  for (const SequenceView& view : views)
    if (view.running && view.computed + 1 < view.known) longest = std::max(longest, view.computed);
  const SchedulerLimits limits{e.options.step_tokens, e.options.sequences_max, e.pages.available(),
                               page_tokens, e.pacer.prompt_tokens(longest)};
  const Plan plan = plan_step(views, limits);
  if (plan.chunks.empty() && plan.preempt.empty() && plan.admit.empty()) {
    HADAL_CHECK(any_loading, "the scheduler does nothing for {} sequences", e.sequences.size());
    if (!e.disk->exhausted()) e.wait_loaded();
    return e.events;
  }
  e.apply(plan);
  if (!plan.chunks.empty()) e.compute_timed(plan);
  remove_finished();
  return e.events;
}

bool Engine::idle() const {
  return impl_->live == 0;
}

GenerateResult Engine::generate(Request request,
                                const std::function<bool(const Event&)>& on_event) {
  const uint64_t id = submit(std::move(request));
  // Whatever is thrown on the way, the engine does not go on with it.
  struct Canceller {
    Engine& engine;
    uint64_t request;
    ~Canceller() { engine.cancel(request); }
  } canceller{*this, id};
  GenerateResult result;
  bool cancelled = false;
  for (;;) {
    for (const Event& event : step()) {
      if (event.id != id || (cancelled && event.kind != Event::Kind::finish)) continue;
      if (event.kind == Event::Kind::token) result.tokens.push_back(event.token);
      if (event.kind == Event::Kind::token || event.kind == Event::Kind::partial)
        result.text += event.text;
      if (event.kind == Event::Kind::finish && event.reason == FinishReason::error)
        throw Error(ErrorKind::unsupported, event.text);
      if (event.kind != Event::Kind::finish && on_event && !on_event(event)) {
        cancelled = true;
        cancel(id);
      }
      if (event.kind != Event::Kind::finish) continue;
      result.reason = event.reason;
      result.stop = event.stop;
      result.stats = event.stats;
      if (on_event) on_event(event);
      return result;
    }
    if (!cancelled && impl_->options.interrupted && impl_->options.interrupted()) {
      cancelled = true;
      cancel(id);
    }
  }
}

std::shared_ptr<const grammar::Vocabulary> Engine::vocabulary() const {
  Impl& e = *impl_;
  std::call_once(e.vocabulary_made, [&] {
    e.vocabulary = std::make_shared<grammar::Vocabulary>(require_tokenizer(e.model),
                                                         e.model.model->config.vocab_size);
  });
  return e.vocabulary;
}

const LoadedModel& Engine::model() const {
  return impl_->model;
}

int64_t Engine::context_tokens() const {
  return impl_->context;
}

EngineLoad Engine::load() const {
  EngineLoad load;
  for (const auto& sequence : impl_->sequences) load.running += sequence->running;
  load.waiting = impl_->live - load.running;
  load.pages = impl_->pages.pages();
  load.pages_free = impl_->pages.free();
  load.pages_kept = impl_->pages.kept();
  load.page_tokens = page_tokens;
  load.page_bytes = impl_->cache.page_bytes();
  if (impl_->disk) load.disk = impl_->disk->stats();
  return load;
}

}  // namespace hadal::infer
