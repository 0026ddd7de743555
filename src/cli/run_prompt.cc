#include "cli/run_prompt.h"

#include <filesystem>
#include <utility>

#include <errno.h>
#include <fmt/format.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/interrupt.h"

namespace hadal::cli {
namespace {

constexpr size_t kPipedBytesMax = size_t{64} << 20;

}  // namespace

void separate_prompt(RunOptions& options) {
  if (!options.prompt.empty() || !options.prompt_flag.empty()) return;
  if (options.model.find_first_of(" \t\n?!") == std::string::npos) return;
  std::error_code ignored;
  if (std::filesystem::exists(options.model, ignored)) return;
  options.prompt.push_back(std::exchange(options.model, ""));
}

std::string read_piped_text(int descriptor) {
  std::string text;
  char buffer[65536];
  while (true) {
    const ssize_t count = ::read(descriptor, buffer, sizeof buffer);
    check_interrupt();
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EBADF) break;  // started without a stdin
    if (count < 0) fail(ErrorKind::file, "cannot read the pipe: {}", strerror(errno));
    if (count == 0) break;
    text.append(buffer, static_cast<size_t>(count));
    if (text.size() > kPipedBytesMax) {
      fail(ErrorKind::limit, "the text from the pipe is over {} MiB", kPipedBytesMax >> 20);
    }
  }
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  return text;
}

std::string join_prompt(const std::vector<std::string>& words, const std::string& piped) {
  std::string prompt = fmt::format("{}", fmt::join(words, " "));
  if (piped.empty()) return prompt;
  return prompt.empty() ? piped : prompt + "\n\n" + piped;
}

}  // namespace hadal::cli
