// Other programs: run to their end, or keeping a core busy.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

namespace hadal::bench {

struct Finished {
  int code = -1;  // exit code, or 128 + signal
  double seconds = 0.0;
  std::string out;  // stdout
  std::string err;  // stderr
};

// Runs arguments[0] (a path, or a name to be found in PATH) to its end.
Finished run_process(const std::vector<std::string>& arguments);

// A process that computes without end on the first core that this one may use.
class BusyProcess {
 public:
  BusyProcess();
  ~BusyProcess();
  BusyProcess(const BusyProcess&) = delete;
  BusyProcess& operator=(const BusyProcess&) = delete;

 private:
  pid_t child_;
};

}  // namespace hadal::bench
