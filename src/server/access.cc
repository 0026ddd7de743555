#include "server/access.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <fstream>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "server/api_error.h"
#include "server/text.h"

namespace hadal::server {
namespace {

constexpr std::string_view unknown_key = "Authentication Fails (no such key)";

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// Of a file that changes: modification and inode together. -1: there is none.
int64_t stamp_of(const std::string& path) {
  struct stat status = {};
  if (path.empty() || stat(path.c_str(), &status) != 0) return -1;
  return static_cast<int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec +
         static_cast<int64_t>(status.st_ino);
}

// The key of a request, from the one place or the other. "": none.
std::string key_of(const HttpRequest& request) {
  std::string key;
  for (const auto& [name, value] : request.headers) {
    std::string found;
    if (name == "x-api-key") {
      found = value;
    } else if (name == "authorization") {
      constexpr size_t scheme = 7;
      if (lower(value.substr(0, scheme)) != "bearer ")
        throw ApiError(401, "Authorization: expected \"Bearer KEY\"");
      found = value.substr(scheme);
    } else {
      continue;
    }
    if (!key.empty() && !equal_in_constant_time(key, found))
      throw ApiError(401, "the request shows two keys that differ");
    key = found;
  }
  return key;
}

// "example.org:8080" -> "example.org", "[::1]:80" -> "::1".
std::string host_name(const std::string& host) {
  if (host.starts_with('[')) return lower(host.substr(1, host.find(']') - 1));
  return lower(host.substr(0, host.find(':')));
}

bool is_address(const std::string& name) {
  in6_addr six = {};
  in_addr four = {};
  return inet_pton(AF_INET, name.c_str(), &four) == 1 ||
         inet_pton(AF_INET6, name.c_str(), &six) == 1;
}

std::string own_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? lower(name) : "";
}

}  // namespace

Access::Access(const AccessOptions& options) : options_(options) {
  needs_key_ = options.needs_key;
  if (!options.plain_keys_path.empty()) load_plain_keys();
  if (!options.keys_path.empty()) {
    stamp_ = stamp_of(options.keys_path);
    take(read_keys(options.keys_path));
    for (const auto& [id, tokens] : read_usage(options.keys_path)) accounts_[id].used = tokens;
  } else {
    take({});
  }
}

Access::~Access() {
  refresh();
}

void Access::load_plain_keys() {
  std::ifstream file(options_.plain_keys_path);
  if (!file) fail(ErrorKind::file, "{}: cannot be read", options_.plain_keys_path);
  for (std::string line; std::getline(file, line);) {
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back())) != 0)
      line.pop_back();
    if (!line.empty() && line[0] != '#') plain_hashes_.push_back(sha256_hex(line));
  }
  if (plain_hashes_.empty())
    fail(ErrorKind::format, "{}: there is no key in it", options_.plain_keys_path);
}

void Access::take(const std::vector<KeyRecord>& records) {
  const std::lock_guard lock(mutex_);
  callers_.clear();
  for (const std::string& hash : plain_hashes_) {
    Caller caller;
    caller.id = "file_" + hash.substr(0, 8);
    caller.secret = sha256_hex("cache " + hash);
    callers_.emplace_back(hash, std::make_shared<const Caller>(std::move(caller)));
  }
  if (!records.empty() || !plain_hashes_.empty()) needs_key_ = true;
  for (const KeyRecord& record : records) {
    if (record.revoked) continue;
    callers_.emplace_back(record.hash, std::make_shared<const Caller>(
                                           Caller{record.id, record.secret, record.limits}));
  }
}

bool Access::has_keys() const {
  const std::lock_guard lock(mutex_);
  return !callers_.empty();
}

std::shared_ptr<const Caller> Access::authenticate(const HttpRequest& request) const {
  static const auto local = std::make_shared<const Caller>(Caller{"local", "local", {}});
  if (!needs_key_) return local;
  const std::string key = key_of(request);
  if (key.empty())
    throw ApiError(401, "a key is needed: Authorization: Bearer KEY, or x-api-key: KEY");
  const std::string hash = sha256_hex(key);
  const std::lock_guard lock(mutex_);
  std::shared_ptr<const Caller> found;
  // All of them, so that the time tells nothing about where a key stands.
  for (const auto& [known, caller] : callers_)
    if (equal_in_constant_time(known, hash)) found = caller;
  if (!found) throw ApiError(401, std::string(unknown_key));
  return found;
}

std::shared_ptr<Access::Ticket> Access::admit(const Caller& caller) {
  const std::lock_guard lock(mutex_);
  Account& account = accounts_[caller.id];
  const KeyLimits& limits = caller.limits;
  if (limits.tokens > 0 && account.used >= limits.tokens)
    throw ApiError(
        402, fmt::format("Insufficient Balance: the key's {} tokens are used up", limits.tokens));
  if (limits.concurrent > 0 && account.running >= limits.concurrent) {
    ApiError error(
        429, fmt::format("the key may have {} requests under way at a time", limits.concurrent));
    error.retry_after_s = 1;
    throw error;
  }
  if (limits.requests_per_minute > 0) {
    const auto rate = static_cast<double>(limits.requests_per_minute);
    const Clock::time_point now = Clock::now();
    const double passed_s = std::chrono::duration<double>(now - account.counted).count();
    account.allowance =
        account.fresh ? rate : std::min(rate, account.allowance + passed_s * rate / 60);
    account.counted = now;
    account.fresh = false;
    if (account.allowance < 1) {
      ApiError error(
          429, fmt::format("the key may make {} requests a minute", limits.requests_per_minute));
      error.retry_after_s =
          std::max(1, static_cast<int>(std::ceil((1 - account.allowance) * 60 / rate)));
      throw error;
    }
    account.allowance -= 1;
  }
  ++account.running;
  auto ticket = std::make_shared<Ticket>();
  ticket->access_ = this;
  ticket->id_ = caller.id;
  return ticket;
}

Access::Ticket::~Ticket() {
  if (access_ == nullptr) return;
  const std::lock_guard lock(access_->mutex_);
  --access_->accounts_[id_].running;
}

void Access::Ticket::use(int64_t tokens) {
  const std::lock_guard lock(access_->mutex_);
  access_->accounts_[id_].used += tokens;
  access_->dirty_ = true;
}

int64_t Access::tokens_left(const Caller& caller) const {
  if (caller.limits.tokens <= 0) return -1;
  const std::lock_guard lock(mutex_);
  const auto found = accounts_.find(caller.id);
  const int64_t used = found == accounts_.end() ? 0 : found->second.used;
  return std::max<int64_t>(0, caller.limits.tokens - used);
}

void Access::refresh() {
  if (options_.keys_path.empty()) return;
  try {
    const int64_t stamp = stamp_of(options_.keys_path);
    if (stamp != stamp_) {
      take(read_keys(options_.keys_path));
      stamp_ = stamp;
    }
    KeyUsage usage;
    {
      const std::lock_guard lock(mutex_);
      if (!dirty_) return;
      dirty_ = false;
      for (const auto& [id, account] : accounts_)
        if (account.used > 0 && id.starts_with("key_")) usage.emplace_back(id, account.used);
    }
    if (!usage.empty()) write_usage(options_.keys_path, usage);
  } catch (const Error& error) {
    const std::lock_guard lock(mutex_);
    dirty_ = true;
  }
}

uint64_t cache_owner(const Caller& caller, const std::string& user_id) {
  const std::string hash = sha256_hex(caller.secret + "\n" + user_id);
  uint64_t owner = 0;
  std::from_chars(hash.data(), hash.data() + 16, owner, 16);
  return owner;
}

bool host_allowed(const HostPolicy& policy, const std::string& host) {
  const std::string name = host_name(host);
  // An address is no name that a foreign page could have pointed here.
  if (is_address(name) || name == "localhost" || name.ends_with(".localhost")) return true;
  if (!name.empty() && name == own_name()) return true;
  return std::any_of(policy.hosts.begin(), policy.hosts.end(),
                     [&](const std::string& allowed) { return lower(allowed) == name; });
}

bool origin_allowed(const HostPolicy& policy, const std::string& origin, const std::string& host,
                    bool secure) {
  if (lower(origin) == lower((secure ? "https://" : "http://") + host)) return true;
  return std::find(policy.origins.begin(), policy.origins.end(), origin) != policy.origins.end();
}

bool is_loopback(const std::string& address) {
  return address == "localhost" || address == "::1" || address.starts_with("127.");
}

}  // namespace hadal::server
