#include <string>
#include <vector>

#include "cli/program.h"

int main(int argc, char** argv) {
  const std::string program = argc > 0 ? argv[0] : "hadal";
  return hadal::cli::run_program(program, std::vector<std::string>(argv + (argc > 0), argv + argc));
}
