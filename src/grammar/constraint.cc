#include "grammar/constraint.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "grammar/arena.h"

namespace hadal::grammar {

struct Constraint::Impl {
  Impl(Grammar&& rules, const ConstraintLimits& wanted)
      : grammar(std::move(rules)),
        limits(wanted),
        arena(std::make_shared<Arena>(grammar, limits.items_max)) {}

  const Grammar grammar;
  const ConstraintLimits limits;
  std::mutex mutex;              // of all that an arena does
  std::shared_ptr<Arena> arena;  // the current one; answers may still stand in an older one
  std::vector<int32_t> path;     // scratch of find_mask
};

Constraint::Constraint(Grammar grammar, std::shared_ptr<const Vocabulary> vocabulary,
                       const ConstraintLimits& limits, std::string description)
    : vocabulary_(std::move(vocabulary)),
      description_(std::move(description)),
      impl_(std::make_unique<Impl>(std::move(grammar), limits)) {}

Constraint::~Constraint() = default;

int64_t Constraint::bytes() const {
  const Grammar& g = impl_->grammar;
  const auto size = [](const auto& list) {
    return static_cast<int64_t>(list.size() * sizeof(list.front()));
  };
  return size(g.states) + size(g.bytes) + size(g.tokens) + size(g.calls) + size(g.empties) +
         size(g.heights) + size(g.rule_starts) * 8 + impl_->limits.cache_bytes;
}

namespace {

void allow(TokenMask& mask, int32_t token) {
  mask[static_cast<size_t>(token) / 64] |= uint64_t{1} << (static_cast<size_t>(token) % 64);
}

bool allowed(const TokenMask& mask, int32_t token) {
  return (mask[static_cast<size_t>(token) / 64] >> (static_cast<size_t>(token) % 64) & 1) != 0;
}

// Walks the whole vocabulary with the machine. path[d]: the node behind d bytes.
std::shared_ptr<TokenMask> find_mask(const Vocabulary& vocabulary, Arena& arena, int32_t start,
                                     std::vector<int32_t>& path, int64_t steps) {
  auto mask = std::make_shared<TokenMask>(vocabulary.words());
  path.resize(vocabulary.depth_max() + 1);
  path[0] = start;
  const std::span<const Vocabulary::Node> nodes = vocabulary.nodes();
  for (size_t i = 0; i < nodes.size();) {
    const Vocabulary::Node& node = nodes[i];
    const int32_t to = arena.next(path[node.depth - 1u], node.byte, steps);
    if (to == Arena::dead) {
      i = node.end;
      continue;
    }
    path[node.depth] = to;
    if (node.token >= 0) allow(*mask, node.token);
    ++i;
  }
  for (const auto& [one, next] : vocabulary.twins())
    if (allowed(*mask, one)) allow(*mask, next);
  for (const int32_t token : arena.tokens(start)) allow(*mask, token);
  return mask;
}

}  // namespace

Matcher::Matcher(std::shared_ptr<const Constraint> constraint)
    : constraint_(std::move(constraint)) {
  const std::lock_guard lock(constraint_->impl_->mutex);
  arena_ = constraint_->impl_->arena;
  node_ = arena_->start();
}

// Moves on to the newest arena; a new one is begun when it has grown too large.
void Matcher::renew_arena() {
  Constraint::Impl& c = *constraint_->impl_;
  if (c.arena->bytes() > c.limits.cache_bytes)
    c.arena = std::make_shared<Arena>(c.grammar, c.limits.items_max);
  if (arena_ == c.arena) return;
  int64_t steps = c.limits.steps_max;
  node_ = arena_->move_to(*c.arena, node_, steps);
  arena_ = c.arena;
}

std::shared_ptr<const TokenMask> Matcher::mask() {
  Constraint::Impl& c = *constraint_->impl_;
  const std::lock_guard lock(c.mutex);
  renew_arena();
  if (!arena_->mask(node_)) {
    // The arena's nodes may move while it is searched: the mask is put in its place afterwards.
    std::shared_ptr<const TokenMask> found =
        find_mask(constraint_->vocabulary(), *arena_, node_, c.path, c.limits.steps_max);
    arena_->count_bytes(found->size() * sizeof(uint64_t));
    arena_->mask(node_) = std::move(found);
  }
  return arena_->mask(node_);
}

bool Matcher::take_bytes(std::string_view bytes) {
  int64_t steps = constraint_->impl_->limits.steps_max;
  int32_t node = node_;
  for (const char c : bytes) {
    node = arena_->next(node, static_cast<uint8_t>(c), steps);
    if (node == Arena::dead) return false;
  }
  node_ = node;
  return true;
}

bool Matcher::accept(int32_t token) {
  const Vocabulary& vocabulary = constraint_->vocabulary();
  const std::lock_guard lock(constraint_->impl_->mutex);
  renew_arena();
  if (vocabulary.tokenizer().is_special(token)) {
    int64_t steps = constraint_->impl_->limits.steps_max;
    const int32_t node = arena_->next_token(node_, token, steps);
    if (node == Arena::dead) return false;
    node_ = node;
    return true;
  }
  const std::string_view bytes = vocabulary.tokenizer().token_bytes(token);
  return !bytes.empty() && take_bytes(bytes);
}

bool Matcher::accept_text(std::string_view bytes) {
  const std::lock_guard lock(constraint_->impl_->mutex);
  renew_arena();
  return take_bytes(bytes);
}

bool Matcher::may_end() const {
  const std::lock_guard lock(constraint_->impl_->mutex);
  return arena_->accepts(node_);
}

bool Matcher::must_end() const {
  const std::lock_guard lock(constraint_->impl_->mutex);
  return arena_->accepts(node_) && arena_->is_final(node_);
}

}  // namespace hadal::grammar
