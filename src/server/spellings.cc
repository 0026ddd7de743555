#include "server/spellings.h"

#include <utility>

namespace hadal::server {
namespace {

std::string key_of(uint64_t owner, std::string_view text) {
  std::string key(reinterpret_cast<const char*>(&owner), sizeof owner);
  return key.append(text);
}

}  // namespace

void Spellings::learn(const tokenizer::Tokenizer& tokenizer, uint64_t owner,
                      const std::vector<int32_t>& ids) {
  std::vector<int32_t> run;
  const auto end_run = [&] {
    if (run.empty()) return;
    const std::string text = tokenizer.decode(run);
    if (tokenizer.encode(text) != run) keep({key_of(owner, text), run});
    run.clear();
  };
  for (const int32_t id : ids) {
    if (tokenizer.is_special(id))
      end_run();
    else
      run.push_back(id);
  }
  end_run();
}

void Spellings::keep(Entry entry) {
  const std::lock_guard lock(mutex_);
  const auto drop = [&](std::list<Entry>::iterator old) {
    bytes_ -= old->bytes();
    by_key_.erase(old->key);
    entries_.erase(old);
  };
  if (const auto found = by_key_.find(entry.key); found != by_key_.end()) drop(found->second);
  entries_.push_front(std::move(entry));
  by_key_[entries_.front().key] = entries_.begin();
  bytes_ += entries_.front().bytes();
  while (bytes_ > bytes_max_) drop(std::prev(entries_.end()));
}

std::optional<std::vector<int32_t>> Spellings::find(uint64_t owner, std::string_view run) {
  const std::string key = key_of(owner, run);
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return std::nullopt;
  entries_.splice(entries_.begin(), entries_, found->second);
  return entries_.front().ids;
}

size_t Spellings::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace hadal::server
