#include "server/keys.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "server/text.h"

namespace hadal::server {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr std::uintmax_t bytes_max = std::uintmax_t{16} << 20;

std::string usage_path(const std::string& keys_path) {
  return keys_path + ".usage";
}

// Written beside and renamed: whoever reads sees the old file or the new one.
void replace_file(const std::string& path, const std::string& text) {
  const std::string beside = fmt::format("{}.{}", path, getpid());
  const int file = open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  bool good = file >= 0;
  for (size_t at = 0; good && at < text.size();) {
    const ssize_t count = ::write(file, text.data() + at, text.size() - at);
    good = count > 0;
    if (good) at += static_cast<size_t>(count);
  }
  good = good && fsync(file) == 0;
  if (file >= 0) good = close(file) == 0 && good;
  good = good && rename(beside.c_str(), path.c_str()) == 0;
  if (good) return;
  const int error = errno;
  unlink(beside.c_str());
  fail(ErrorKind::file, "{}: cannot be written: {}", path, std::strerror(error));
}

// Fields of a type that the file should not have are left at their defaults but for those that a
// key is nothing without.
KeyRecord record_from(const Json& item, const std::string& path) {
  KeyRecord record;
  const auto text = [&](const char* key, std::string& value) {
    if (item.contains(key) && item[key].is_string()) value = item[key].get<std::string>();
  };
  const auto number = [&](const char* key, int64_t& value) {
    if (item.contains(key) && item[key].is_number_integer()) value = item[key].get<int64_t>();
  };
  if (!item.is_object()) fail(ErrorKind::format, "{}: a key is no object", path);
  text("id", record.id);
  text("name", record.name);
  text("sha256", record.hash);
  text("secret", record.secret);
  number("created", record.created);
  number("requests_per_minute", record.limits.requests_per_minute);
  number("concurrent", record.limits.concurrent);
  number("context_tokens", record.limits.context_tokens);
  number("tokens", record.limits.tokens);
  // Whatever is not plainly false revokes: a damaged file must not open doors.
  if (item.contains("revoked")) record.revoked = item["revoked"] != false;
  if (record.id.empty() || record.hash.size() != 64)
    fail(ErrorKind::format, "{}: a key lacks its id or its sha256", path);
  return record;
}

Json json_of(const KeyRecord& record) {
  return {{"id", record.id},
          {"name", record.name},
          {"sha256", record.hash},
          {"secret", record.secret},
          {"created", record.created},
          {"revoked", record.revoked},
          {"requests_per_minute", record.limits.requests_per_minute},
          {"concurrent", record.limits.concurrent},
          {"context_tokens", record.limits.context_tokens},
          {"tokens", record.limits.tokens}};
}

}  // namespace

std::vector<KeyRecord> read_keys(const std::string& path) {
  std::error_code missing;
  const std::uintmax_t size = fs::file_size(path, missing);
  if (missing) return {};
  if (size > bytes_max) fail(ErrorKind::format, "{}: too large for a file of keys", path);
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(ErrorKind::file, "{}: cannot be read", path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const Json root = Json::parse(text, nullptr, false);
  if (!root.is_object() || !root.contains("keys") || !root["keys"].is_array())
    fail(ErrorKind::format, "{}: no file of keys", path);
  std::vector<KeyRecord> keys;
  for (const Json& item : root["keys"]) keys.push_back(record_from(item, path));
  return keys;
}

KeyFile::KeyFile(const std::string& path) : path_(path) {
  if (path.empty())
    fail(ErrorKind::usage, "there is no place for keys: HOME is not set; give one with --keys");
  std::error_code error;
  const fs::path folder = fs::path(path).parent_path();
  if (!folder.empty()) fs::create_directories(folder, error);
  lock_ = open((path + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0 || flock(lock_, LOCK_EX) != 0)
    fail(ErrorKind::file, "{}: cannot be locked: {}", path, std::strerror(errno));
  keys_ = read_keys(path);
}

KeyFile::~KeyFile() {
  if (lock_ >= 0) close(lock_);
}

void KeyFile::write() {
  Json list = Json::array();
  for (const KeyRecord& record : keys_) list.push_back(json_of(record));
  replace_file(
      path_,
      Json{{"keys", std::move(list)}}.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

KeyRecord& KeyFile::find(const std::string& id_or_name) {
  const auto is = [&](const KeyRecord& key) {
    return key.id == id_or_name || key.name == id_or_name;
  };
  const auto found = std::find_if(keys_.begin(), keys_.end(), is);
  if (found == keys_.end()) {
    std::vector<std::string> known;
    for (const KeyRecord& key : keys_) known.push_back(key.id);
    fail(ErrorKind::usage, "no key is called '{}'; there is {}", id_or_name,
         known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", ")));
  }
  if (std::find_if(found + 1, keys_.end(), is) != keys_.end())
    fail(ErrorKind::usage, "several keys are called '{}': say which by its id", id_or_name);
  return *found;
}

NewKey make_key(const std::string& name, const KeyLimits& limits) {
  NewKey made;
  made.key = "sk-hadal-" + random_hex(32);
  made.record.hash = sha256_hex(made.key);
  made.record.id = "key_" + random_hex(4);
  made.record.name = name;
  made.record.secret = random_hex(16);
  made.record.created = std::time(nullptr);
  made.record.limits = limits;
  return made;
}

KeyUsage read_usage(const std::string& keys_path) {
  std::ifstream file(usage_path(keys_path), std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const Json root = Json::parse(text, nullptr, false);
  KeyUsage usage;
  if (!root.is_object()) return usage;
  for (const auto& item : root.items())
    if (item.value().is_number_integer() && item.value() >= 0)
      usage.emplace_back(item.key(), item.value().get<int64_t>());
  return usage;
}

void write_usage(const std::string& keys_path, const KeyUsage& usage) {
  Json root = Json::object();
  for (const auto& [id, tokens] : usage) root[id] = tokens;
  replace_file(usage_path(keys_path), root.dump() + "\n");
}

}  // namespace hadal::server
