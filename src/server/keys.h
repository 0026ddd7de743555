// The file of API keys. A key itself is shown once, when it is made; the file has its hash. Keys
// are 256 random bits, so a plain SHA-256 cannot be searched.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hadal::server {

// 0: no bound.
struct KeyLimits {
  int64_t requests_per_minute = 0;
  int64_t concurrent = 0;      // requests under way
  int64_t context_tokens = 0;  // prompt and answer of one request together
  int64_t tokens = 0;          // prompts and answers of all requests, for good
};

struct KeyRecord {
  std::string id;      // "key_1a2b3c4d": for people and logs
  std::string name;    // whose it is
  std::string hash;    // SHA-256 of the key, hexadecimal
  std::string secret;  // keeps the key's prefixes in the cache apart from others'
  int64_t created = 0;
  bool revoked = false;
  KeyLimits limits;
};

// A missing file is an empty list. Throws Error(file | format).
std::vector<KeyRecord> read_keys(const std::string& path);

// Changes the file as a whole: locked, mode 0600, replaced at once, folders made as needed. Throws
// Error(file | format), and what `change` throws.
class KeyFile {
 public:
  explicit KeyFile(const std::string& path);
  ~KeyFile();
  KeyFile(const KeyFile&) = delete;
  KeyFile& operator=(const KeyFile&) = delete;

  std::vector<KeyRecord>& keys() { return keys_; }
  void write();
  // The record of that id or name. Throws Error(usage) that lists what there is.
  KeyRecord& find(const std::string& id_or_name);

 private:
  std::string path_;
  int lock_ = -1;
  std::vector<KeyRecord> keys_;
};

struct NewKey {
  std::string key;  // "sk-hadal-...": shown once
  KeyRecord record;
};
NewKey make_key(const std::string& name, const KeyLimits& limits);

// Tokens used so far by key id: the server's own file, beside the keys'. What is unreadable counts
// as nothing used.
using KeyUsage = std::vector<std::pair<std::string, int64_t>>;
KeyUsage read_usage(const std::string& keys_path);
void write_usage(const std::string& keys_path, const KeyUsage& usage);

}  // namespace hadal::server
