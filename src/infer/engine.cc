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
#include "infer/pass.h"
#include "infer/scheduler.h"
#include "infer/sequence.h"
#include "infer/speculation.h"
#include "infer/step_pacer.h"

namespace hadal::infer {
namespace {

constexpr int64_t page_tokens = KvPages::page_tokens;
// While a pass with prompts is under way: what of other prompts a step takes, if they are short.
constexpr int64_t beside_tokens = 8, beside_left_max = 64;

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
        answers(*loaded.model, wanted.precision, thread_pool, wanted.step_tokens, cache, samplers),
        prompts(*loaded.model, wanted.precision, thread_pool, wanted.step_tokens, cache, samplers),
        pacer(wanted.step_tokens, wanted.stall_max) {
    for (int i = 0; i < pool.threads(); ++i) samplers.emplace_back(loaded.model->config.vocab_size);
    if (wanted.drafts != 0 && !loaded.model->mtp.empty())
      speculation.emplace(answers.runner(), cache, pages, pool, samplers, wanted.drafts);
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
  bool in_vain(const Pass& pass);
  void reuse_prefix(Sequence& sequence);
  bool load_prefix(Sequence& sequence, const std::unordered_set<uint64_t>& computing);
  void wait_loaded();
  SequenceView view_of(Sequence& sequence, std::unordered_set<uint64_t>& computing);
  void apply(const Plan& plan);
  void compute(const Plan& plan, bool answering);
  void plan_and_compute(bool answering);
  void advance_prompts(bool answering);
  void drop_prompts_in_vain();
  void close(Pass& pass);
  void share_pages(Sequence& sequence);
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
  std::vector<Sampler> samplers;  // by thread
  // Two passes, since answers go on between the layers of a pass with prompts.
  Pass answers, prompts;
  StepPacer pacer;
  std::optional<Speculation> speculation;
  std::unique_ptr<DiskPrefixes> disk;

  std::vector<std::unique_ptr<Sequence>> sequences;  // in order of arrival
  std::vector<Event> events;
  std::vector<Pass::Piece> pieces, prompt_pieces;  // of one step
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

// Whether nobody waits for what a pass computes.
bool Engine::Impl::in_vain(const Pass& pass) {
  if (options.interrupted && options.interrupted()) return true;
  const std::lock_guard lock(mutex);
  return std::ranges::all_of(pass.parts(), [&](const Pass::Part& part) {
    return part.sequence->finished() ||
           std::ranges::find(cancels, part.sequence->id()) != cancels.end();
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
  view.busy = sequence.busy;
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

// The end of a pass: its sequences have what it computed.
void Engine::Impl::close(Pass& pass) {
  pass.finish();
  for (const Pass::Part& part : pass.parts()) {
    Sequence& sequence = *part.sequence;
    sequence.busy = false;
    if (sequence.finished()) continue;
    const bool was_prompt = sequence.computed < sequence.prompt_size();
    sequence.computed += part.rows - part.drafts;
    sequence.count_drafts(part.drafts, 0);
    share_pages(sequence);
    if (was_prompt && sequence.stats().generated_tokens == 0) sequence.prompt_advanced(events);
  }
  pass.sample(speculation ? &*speculation : nullptr, events);
  if (speculation) speculation->finish(pass);
  if (disk)
    for (const Pass::Part& part : pass.parts()) disk->save(*part.sequence);
  pass.close();
}

// Computes what is planned: answers at once, prompts from here on in slices between them.
void Engine::Impl::compute(const Plan& plan, bool answering) {
  pieces.clear();
  prompt_pieces.clear();
  for (const Plan::Chunk& chunk : plan.chunks) {
    Sequence& sequence = find(chunk.id);
    const bool answer = sequence.computed + 1 == sequence.known();
    // What is planned beside a pass with prompts is short.
    const bool at_once = answer || (answering && prompts.active());
    (at_once && answering ? pieces : prompt_pieces).push_back({&sequence, chunk.tokens});
  }
  if (!prompt_pieces.empty()) {
    for (const Pass::Piece& piece : prompt_pieces) piece.sequence->busy = true;
    prompts.begin(prompt_pieces);
  }
  if (pieces.empty()) return;
  const bool alone = std::ranges::all_of(pieces, [](const Pass::Piece& piece) {
    return piece.sequence->computed + 1 >= piece.sequence->known();
  });
  answers.begin(pieces);
  do {
    if (in_vain(answers)) return answers.close();
  } while (answers.advance());
  close(answers);
  if (alone) pacer.answered(answers.seconds());
}

// The next layers of the pass with prompts: as many as answers can wait for, or all.
void Engine::Impl::advance_prompts(bool answering) {
  double spent = 0;
  for (bool more = true; more;) {
    if (in_vain(prompts)) return;
    if (answering && spent > 0 && !pacer.allows(spent + prompts.longest_layer())) return;
    const double before = prompts.seconds();
    more = prompts.advance();
    spent += prompts.seconds() - before;
  }
  int64_t tokens = 0;
  for (const Pass::Part& part : prompts.parts()) tokens += part.rows;
  const double longest = prompts.longest_layer();
  close(prompts);
  if (answering) pacer.computed(tokens, longest);
}

// The pass with prompts ends if all of its requests were cancelled.
void Engine::Impl::drop_prompts_in_vain() {
  const auto& parts = prompts.parts();
  if (!std::ranges::all_of(parts, [](const Pass::Part& p) { return p.sequence->finished(); }))
    return;
  for (const Pass::Part& part : parts) part.sequence->busy = false;
  prompts.close();
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
    const auto gone = [](const auto& sequence) { return sequence->finished() && !sequence->busy; };
    for (auto& sequence : e.sequences)
      if (gone(sequence)) e.give_back_pages(*sequence);
    e.live -= static_cast<int64_t>(std::erase_if(e.sequences, gone));
  };
  e.drop_prompts_in_vain();
  remove_finished();
  if (e.sequences.empty()) return e.events;
  const bool answering = std::ranges::any_of(e.sequences, [](const auto& sequence) {
    return sequence->running && !sequence->busy && sequence->computed + 1 == sequence->known();
  });
  if (answering || !e.prompts.active()) e.plan_and_compute(answering);
  if (e.prompts.active()) e.advance_prompts(answering);
  remove_finished();
  return e.events;
}

// A step's plan, and what of it is computed at once.
void Engine::Impl::plan_and_compute(bool answering) {
  std::vector<SequenceView> views;
  std::unordered_set<uint64_t> computing;
  int64_t places = options.sequences_max;
  bool any_loading = false;
  if (disk) disk->begin_step();
  for (auto& sequence : sequences) {
    bool loading = false;
    if (sequence->running && !sequence->busy) {
      reuse_prefix(*sequence);
      loading = load_prefix(*sequence, computing);
    }
    if (places-- == 0) break;  // those behind cannot be admitted in this step
    views.push_back(view_of(*sequence, computing));
    views.back().held |= loading;
    any_loading |= loading;
  }
  SchedulerLimits limits{options.step_tokens, options.sequences_max, pages.available(), page_tokens,
                         pacer.prompt_tokens()};
  if (prompts.active()) {
    limits.prompt_tokens = beside_tokens;
    limits.prompt_left_max = beside_left_max;
  }
  const Plan plan = plan_step(views, limits);
  if (plan.chunks.empty() && plan.preempt.empty() && plan.admit.empty()) {
    HADAL_CHECK(any_loading || prompts.active(), "the scheduler does nothing for {} sequences",
                sequences.size());
    if (!prompts.active() && !disk->exhausted()) wait_loaded();
    return;
  }
  apply(plan);
  if (!plan.chunks.empty()) compute(plan, answering);
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
