#include "infer/page_folder.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"

namespace hadal::infer {
namespace {

namespace fs = std::filesystem;

constexpr const char* secret_name = "secret";
constexpr std::string_view unfinished = ".part";
constexpr int64_t ns_per_s = 1'000'000'000;

// "NAME.kv.part"
bool is_unfinished(std::string_view name) {
  return name.ends_with(unfinished) &&
         parse_page_file_name(name.substr(0, name.size() - unfinished.size())).has_value();
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error))
    names.push_back(it->path().filename().string());
  return names;
}

bool write_all(int file, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return true;
}

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

}  // namespace

PageFolder::PageFolder(const std::string& path) : path_(path) {
  std::error_code ignored;
  const fs::path parent = fs::path(path).parent_path();
  if (!parent.empty()) fs::create_directories(parent, ignored);
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    fail(ErrorKind::file, "{}: the folder cannot be made: {}", path, std::strerror(errno));
  descriptor_ = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0)
    fail(ErrorKind::file, "{}: the folder cannot be opened: {}", path, std::strerror(errno));
  try {
    check_access();
    open_secret();
  } catch (...) {
    if (secret_descriptor_ >= 0) close(secret_descriptor_);
    close(descriptor_);
    throw;
  }
}

PageFolder::~PageFolder() {
  close(secret_descriptor_);
  close(descriptor_);
}

// What lies there was said in confidence. An empty folder of ours is closed to others; one with
// content might be meant for them, so its user has to decide.
void PageFolder::check_access() const {
  struct stat info;
  if (fstat(descriptor_, &info) != 0) fail(ErrorKind::file, "{}: {}", path_, std::strerror(errno));
  if (info.st_uid != geteuid())
    fail(ErrorKind::usage, "{} belongs to another user: choose another folder", path_);
  if ((info.st_mode & 077) == 0) return;
  if (!names_in(path_).empty())
    fail(ErrorKind::usage,
         "{}: others may enter this folder, and what is cached in it could be read back: choose an "
         "empty one, or chmod 700 it",
         path_);
  if (fchmod(descriptor_, 0700) != 0)
    fail(ErrorKind::file, "{}: cannot be closed to others: {}", path_, std::strerror(errno));
}

void PageFolder::open_secret() {
  const int file =
      openat(descriptor_, secret_name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  secret_descriptor_ = file;
  if (file < 0)
    fail(ErrorKind::file, "{}/{}: cannot be opened: {}", path_, secret_name, std::strerror(errno));
  if (flock(file, LOCK_EX | LOCK_NB) != 0)
    fail(ErrorKind::usage, "{} is used by another program: each needs a folder of its own", path_);
  std::array<std::byte, 33> bytes;  // one more than it has
  if (pread(file, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(secret_.size())) {
    std::copy_n(bytes.begin(), secret_.size(), secret_.begin());
    return;
  }
  for (const File& old : files()) remove(old.key);
  const auto size = static_cast<ssize_t>(secret_.size());
  if (getrandom(secret_.data(), secret_.size(), 0) != size)
    fail(ErrorKind::file, "the system gives no random bytes");
  if (ftruncate(file, 0) != 0 || pwrite(file, secret_.data(), secret_.size(), 0) != size ||
      fsync(file) != 0)
    fail(ErrorKind::file, "{}/{}: cannot be written: {}", path_, secret_name, std::strerror(errno));
}

std::vector<PageFolder::File> PageFolder::files() const {
  std::vector<File> files;
  for (const std::string& name : names_in(path_)) {
    if (is_unfinished(name)) unlinkat(descriptor_, name.c_str(), 0);
    const std::optional<PageKey> key = parse_page_file_name(name);
    struct stat info;
    if (!key || fstatat(descriptor_, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    files.push_back({*key, info.st_size, info.st_mtim.tv_sec * ns_per_s + info.st_mtim.tv_nsec});
  }
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) {
    return a.used != b.used ? a.used < b.used : a.key < b.key;
  });
  return files;
}

std::vector<std::byte> PageFolder::read(const PageKey& key, int64_t bytes_max) const {
  const std::string name = page_file_name(key);
  // Nor does a pipe that somebody put there make us wait.
  const Descriptor file(
      openat(descriptor_, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.get() < 0 && errno == ENOENT) return {};
  if (file.get() < 0 && errno == ELOOP) fail(ErrorKind::format, "it is a link");
  struct stat info;
  if (file.get() < 0 || fstat(file.get(), &info) != 0)
    fail(ErrorKind::file, "it cannot be opened: {}", std::strerror(errno));
  if (!S_ISREG(info.st_mode)) fail(ErrorKind::format, "it is no regular file");
  if (info.st_size > bytes_max)
    fail(ErrorKind::format, "it has {} bytes, more than any page", info.st_size);
  std::vector<std::byte> bytes(static_cast<size_t>(info.st_size));
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t count = ::read(file.get(), bytes.data() + at, bytes.size() - at);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(ErrorKind::file, "it cannot be read: {}", std::strerror(errno));
    if (count == 0) fail(ErrorKind::format, "it ends after {} bytes", at);
    at += static_cast<size_t>(count);
  }
  if (bytes.empty()) fail(ErrorKind::format, "it is empty");
  return bytes;
}

// Not flushed to the disk: after a power cut a file may have lost its content, which its checksum
// finds, and a flush of each page would cost the disk more than the page.
void PageFolder::write(const PageKey& key, std::span<const std::byte> content) const {
  const PageFileEnds ends = page_file_ends(key, content);
  const std::string name = page_file_name(key), part = name + std::string(unfinished);
  const Descriptor file(openat(descriptor_, part.c_str(),
                               O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() >= 0 && write_all(file.get(), ends.front) && write_all(file.get(), content) &&
      write_all(file.get(), ends.back) &&
      renameat(descriptor_, part.c_str(), descriptor_, name.c_str()) == 0)
    return;
  const int error = errno;
  unlinkat(descriptor_, part.c_str(), 0);
  fail(ErrorKind::file, "{}: cannot be written: {}", path_of(key), std::strerror(error));
}

void PageFolder::set_used(const PageKey& key, int64_t used) const {
  const timespec time = {used / ns_per_s, used % ns_per_s};
  const timespec times[2] = {time, time};
  utimensat(descriptor_, page_file_name(key).c_str(), times, AT_SYMLINK_NOFOLLOW);
}

void PageFolder::remove(const PageKey& key) const {
  unlinkat(descriptor_, page_file_name(key).c_str(), 0);
}

int64_t PageFolder::free_bytes() const {
  struct statvfs info;
  if (fstatvfs(descriptor_, &info) != 0) return 0;
  return static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
}

}  // namespace hadal::infer
