// SPDX-License-Identifier: Apache-2.0
#include "machine.hpp"

#include <fmt/chrono.h>
#include <grpcpp/grpcpp.h>

#include <sched.h>
#include <sys/utsname.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <vector>

namespace millrace::bench {
namespace {

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

double load_average() {
  double load = 0;
  std::ifstream("/proc/loadavg") >> load;
  return load;
}

std::vector<int> usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  std::vector<int> cores;
  for (int one = 0; one < CPU_SETSIZE; ++one) {
    if (CPU_ISSET(static_cast<unsigned>(one), &set)) cores.push_back(one);
  }
  return cores;
}

}  // namespace

machine machine::here() {
  machine made;
  char const* const commit = std::getenv("MILLRACE_COMMIT");
  made.commit = commit != nullptr ? commit : "unknown";
  made.cpu = cpu_model();
  auto const cores = usable_cores();
  made.cores = static_cast<unsigned>(cores.size());
  if (cores.size() >= 2) {
    made.server_core = cores[0];
    made.client_core = cores[1];
  }
  utsname system{};
  uname(&system);
  made.kernel = fmt::format("{} {}", system.sysname, system.release);
  made.grpc = grpc::Version();
  made.compiler = "g++ " __VERSION__;
#ifdef __clang__
  made.compiler = __VERSION__;
#endif
  made.date = fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)));
  made.load_before = load_average();
  return made;
}

void machine::note_load() { load_after = load_average(); }

std::string to_text(machine const& one) {
  return fmt::format("commit {}, {}; {}, {} cores, {}; gRPC {}, {}; load average {:.1f}", one.commit, one.date, one.cpu,
                     one.cores, one.kernel, one.grpc, one.compiler, one.load_before);
}

}  // namespace millrace::bench
