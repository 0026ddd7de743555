#include "server.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "e2e/certificate.h"

namespace hadal::bench {
namespace {

constexpr double load_s_max = 600;

std::string content(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

Server::Server(const ServerOptions& options, const std::vector<std::string>& flags, bool secure)
    : log_(options.folder + "/serve.log") {
  std::vector<std::string> arguments = {options.program, "serve", options.model, "--port", "0",
                                        "--access-log",  ""};
  if (options.threads > 0)
    arguments.insert(arguments.end(), {"--threads", std::to_string(options.threads)});
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  if (secure) {
    const std::string cert = options.folder + "/cert.pem", key = options.folder + "/key.pem";
    e2e::make_certificate(cert, key);
    arguments.insert(arguments.end(), {"--tls-cert", cert, "--tls-key", key});
  }
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const int log = open(log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  child_ = fork();
  if (child_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(log, STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(log);
  wait_for_port();
  LoadClient client(port_, secure);
  for (const double end = client.now() + load_s_max; client.now() < end; client.run_for(0.05)) {
    CallOptions ready;
    ready.method = "GET";
    ready.path = "/readyz";
    if (client.ask(ready)->response().status() == 200) return;
    if (!alive()) throw std::runtime_error("the server ended: " + said());
  }
  throw std::runtime_error("the model was not loaded in time");
}

Server::~Server() {
  if (child_ <= 0) return;
  kill(child_, SIGKILL);
  waitpid(child_, nullptr, 0);
}

void Server::wait_for_port() {
  const std::string mark = "listening on ";
  while (true) {
    const std::string text = said();
    const size_t at = text.find(mark), end = text.find('\n', at);
    if (at != std::string::npos && end != std::string::npos) {
      port_ = static_cast<uint16_t>(std::atoi(text.c_str() + text.rfind(':', end) + 1));
      return;
    }
    if (!alive()) throw std::runtime_error("the server did not start: " + said());
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

std::string Server::said() const {
  return content(log_);
}

bool Server::alive() {
  if (child_ > 0 && waitpid(child_, nullptr, WNOHANG) == child_) child_ = -1;
  return child_ > 0;
}

double Server::resident_mib() const {
  std::ifstream in("/proc/" + std::to_string(child_) + "/statm");
  int64_t total = 0, resident = 0;
  in >> total >> resident;
  return static_cast<double>(resident * sysconf(_SC_PAGESIZE)) / (1 << 20);
}

int64_t Server::descriptors() const {
  std::error_code ignored;
  const std::filesystem::directory_iterator files("/proc/" + std::to_string(child_) + "/fd",
                                                  ignored);
  return std::distance(begin(files), end(files));
}

double Server::cpu_s() const {
  const std::string text = content("/proc/" + std::to_string(child_) + "/stat");
  std::istringstream fields(text.substr(std::min(text.size(), text.rfind(')') + 1)));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

int64_t raise_descriptor_limit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<int64_t>(limit.rlim_cur);
}

}  // namespace hadal::bench
