// The curves of a run of training as one page of HTML that needs nothing else.
#pragma once

#include <string>

namespace hadal::cli {

// Reads RUN/metrics.jsonl, writes RUN/report.html and prints its path. Throws Error(file | format).
void write_train_report(const std::string& run);

}  // namespace hadal::cli
