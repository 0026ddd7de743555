// Any text as a checkpoint's training.json: refused with an Error, or counts that a run can go on
// from.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "train/checkpoint.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const hadal::train::TrainState state = hadal::train::parse_train_state(
        {reinterpret_cast<const char*>(data), size}, "training.json");
    if (state.step < 0 || state.late_step < -1 || state.optimizer_steps < 0 || state.tokens < 0 ||
        state.skipped < 0 || !std::isfinite(state.seconds) || state.seconds < 0)
      std::abort();
  } catch (const hadal::Error&) {  // NOLINT(bugprone-empty-catch): refusing is right
  }
  return 0;
}
