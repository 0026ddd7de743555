// A file that appears whole or not at all: bytes go to a temporary file beside it, which is flushed
// to the disk and renamed at the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace hadal {

class OutputFile {
 public:
  // Throws Error(usage) if `path` exists and `replace` is false, Error(file) if the temporary file
  // cannot be made.
  OutputFile(const std::string& path, bool replace);
  // Removes the temporary file unless commit() has succeeded.
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // Appends. Throws Error(file), naming the path and the reason (no space left, ...).
  void write(const void* data, size_t bytes);
  uint64_t bytes_written() const { return written_; }
  // Makes the file appear. Throws Error(file).
  void commit();
  const std::string& path() const { return path_; }

 private:
  void write_all(const char* data, size_t bytes);
  [[noreturn]] void fail_io(const char* action) const;

  std::string path_, temporary_;
  int descriptor_ = -1;
  uint64_t written_ = 0;
  std::vector<char> buffer_;
};

}  // namespace hadal
