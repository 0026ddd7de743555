#include "base/output_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

namespace hadal {
namespace {

// Everything is written in pieces of a huge page, at its multiples: so the system's cache holds the
// file in huge pages where the file system can, and reading weights from it is a third faster.
constexpr size_t buffer_bytes = size_t{2} << 20;

bool exists(const std::string& path) {
  struct stat info;
  return ::lstat(path.c_str(), &info) == 0;
}

// The rename is durable only once the folder is flushed too; file systems without that are left
// alone.
void sync_folder(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

}  // namespace

OutputFile::OutputFile(const std::string& path, bool replace) : path_(path) {
  if (!replace && exists(path)) {
    fail(ErrorKind::usage, "{} exists already: choose another name, or --force to replace it",
         path);
  }
  temporary_ = fmt::format("{}.{}.part", path, ::getpid());
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_io("create");
  buffer_.reserve(buffer_bytes);
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void OutputFile::write(const void* data, size_t bytes) {
  const char* from = static_cast<const char*>(data);
  written_ += bytes;
  while (bytes > 0) {
    size_t taken = bytes / buffer_bytes * buffer_bytes;
    if (buffer_.empty() && taken > 0) {
      write_all(from, taken);
    } else {
      taken = std::min(bytes, buffer_bytes - buffer_.size());
      buffer_.insert(buffer_.end(), from, from + taken);
      if (buffer_.size() == buffer_bytes) {
        write_all(buffer_.data(), buffer_.size());
        buffer_.clear();
      }
    }
    from += taken;
    bytes -= taken;
  }
}

void OutputFile::write_all(const char* data, size_t bytes) {
  while (bytes > 0) {
    const ssize_t done = ::write(descriptor_, data, bytes);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail_io("write");
    data += done;
    bytes -= static_cast<size_t>(done);
  }
}

void OutputFile::commit() {
  HADAL_CHECK(descriptor_ >= 0, "{} was committed already", path_);
  write_all(buffer_.data(), buffer_.size());
  buffer_.clear();
  // Pipes and some network file systems cannot flush; a full disk shows here at the latest.
  if (::fsync(descriptor_) != 0 && errno != EINVAL && errno != ENOTSUP) fail_io("write");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_io("create");
  ::close(descriptor_);
  descriptor_ = -1;
  sync_folder(path_);
}

void OutputFile::fail_io(const char* action) const {
  const int error = errno;
  fail(ErrorKind::file, "cannot {} {}: {}{}", action, path_, std::strerror(error),
       error == ENOSPC ? fmt::format(" after {} MB; nothing was kept", written_ / 1000000) : "");
}

}  // namespace hadal
