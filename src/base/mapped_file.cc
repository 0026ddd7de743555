#include "base/mapped_file.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

namespace hadal {

MappedFile::MappedFile(const std::string& path) : path_(path) {
  // O_NONBLOCK: opening a pipe must not wait for a writer; the check below then refuses it.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fail(ErrorKind::file, "cannot open {}: {}", path, std::strerror(errno));
  struct stat status{};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    fail(ErrorKind::file, "cannot read {}: not a regular file", path);
  }
  size_ = static_cast<size_t>(status.st_size);
  if (size_ > 0) {
    void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd, 0);
    if (address == MAP_FAILED) {
      const int error = errno;
      ::close(fd);
      fail(ErrorKind::file, "cannot map {}: {}", path, std::strerror(error));
    }
    data_ = static_cast<const std::byte*>(address);
    // What is not in the cache yet is read in huge pages where the system and the file system can
    // (ext4 and XFS since Linux 6.x): misses of the address cache cost a third of the speed at
    // which weights are read. Advice only.
    ::madvise(address, size_, MADV_HUGEPAGE);
  }
  ::close(fd);
}

void MappedFile::map_cached_pages() const {
  if (size_ == 0) return;
  constexpr size_t samples = 64;
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  auto* begin = const_cast<std::byte*>(data_);
  for (size_t i = 0; i < samples; ++i) {
    unsigned char resident = 0;
    std::byte* address = begin + size_ / samples * i / page * page;
    if (::mincore(address, 1, &resident) != 0 || (resident & 1) == 0) return;
  }
  // Advice only: an old kernel that refuses it costs speed, not results.
  ::madvise(begin, size_, MADV_POPULATE_READ);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace hadal
