// Who may do what: the one place where a request's key is looked at, and where rates, concurrency
// and quotas are counted.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "server/http.h"
#include "server/keys.h"

namespace hadal::server {

// Whoever asks. Without keys everybody is the same caller, with the id "local".
struct Caller {
  std::string id;
  std::string secret;
  KeyLimits limits;
};

struct AccessOptions {
  std::string keys_path;        // of the file of keys; "": there is none
  std::string plain_keys_path;  // a file with one key a line, without limits; "": none
  bool needs_key = false;       // even if there are no keys: then nobody gets in
};

class Access {
 public:
  // Throws Error(file | format) for files that exist and cannot be used.
  explicit Access(const AccessOptions& options);
  ~Access();

  // Whether a key has to be shown. Once there are keys, it stays so: revoking the last one closes
  // the door and does not open it.
  bool needs_key() const { return needs_key_; }
  bool has_keys() const;

  // Takes the key from either header. Throws ApiError(401): none, unknown, revoked, or two that
  // differ.
  std::shared_ptr<const Caller> authenticate(const HttpRequest& request) const;

  // A place for one request under way; dies with it.
  class Ticket {
   public:
    ~Ticket();
    // Tokens of prompt and answer, once they are known.
    void use(int64_t tokens);

   private:
    friend class Access;
    Access* access_ = nullptr;
    std::string id_;
  };
  // Throws ApiError: 429 over rate or concurrency, with the time to wait, 402 over the quota.
  std::shared_ptr<Ticket> admit(const Caller& caller);

  // Tokens left; negative: no quota.
  int64_t tokens_left(const Caller& caller) const;

  // Looks whether the file of keys has changed and saves what was used. For a thread that may
  // block, about once a second. What fails is tried again the next time.
  void refresh();

 private:
  struct Account {
    int64_t running = 0;
    int64_t used = 0;
    double allowance = 0;  // of requests, at `counted`
    Clock::time_point counted;
    bool fresh = true;
  };
  void load_plain_keys();
  void take(const std::vector<KeyRecord>& records);

  const AccessOptions options_;
  std::atomic<bool> needs_key_ = false;
  std::vector<std::string> plain_hashes_;

  mutable std::mutex mutex_;
  std::vector<std::pair<std::string, std::shared_ptr<const Caller>>> callers_;  // by key's hash
  std::unordered_map<std::string, Account> accounts_;                           // by caller's id
  int64_t stamp_ = -1;  // of the file that was read last
  bool dirty_ = false;
};

// What of the caller and its user keeps prefixes in the cache apart.
uint64_t cache_owner(const Caller& caller, const std::string& user_id);

// "Host" and "Origin" against DNS rebinding and foreign pages. allowed: names besides loopback's,
// this machine's and plain addresses; origins: "https://example.org".
struct HostPolicy {
  std::vector<std::string> hosts, origins;
};
bool host_allowed(const HostPolicy& policy, const std::string& host);
// secure: the request came by TLS. host: its Host header.
bool origin_allowed(const HostPolicy& policy, const std::string& origin, const std::string& host,
                    bool secure);
bool is_loopback(const std::string& address);

}  // namespace hadal::server
