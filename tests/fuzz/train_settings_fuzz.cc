// Any text as the settings of a training run, and as a change of one: refused with an Error that is
// a user's, or within the bounds that training trusts.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "cli/train_settings.h"
#include "fuzz/memory_file.h"

namespace {

void require(bool good) {
  if (!good) std::abort();
}

void check(const hadal::cli::TrainSettings& s) {
  const hadal::train::TrainOptions& o = s.train;
  require((o.steps > 0) != (o.budget_s > 0));
  require(s.config.empty() != s.start.empty());
  require(o.data.length >= 2 && o.data.rows >= 1 && o.part_rows >= 1 && o.keep >= 1);
  require(!o.data.sources.empty() && o.lora.rank >= 0 && (!o.lora || !s.start.empty()));
  require(o.optimizer.beta1 >= 0 && o.optimizer.beta1 < 1 && o.optimizer.beta2 < 1);
}

void read(const std::string& path, const std::vector<std::string>& changes) {
  try {
    check(hadal::cli::read_train_settings(path, changes));
  } catch (const hadal::Error& error) {
    require(error.kind() != hadal::ErrorKind::file);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  read(hadal::fuzz::memory_file(data, size), {});
  read("", {"run.out=x", "run.steps=1", "model.start=x", "data.sources=x", text});
  return 0;
}
