// SPDX-License-Identifier: Apache-2.0
// bench-idle: how often the threads of an idle process wake up, from the kernel's count of voluntary context switches.
#include <echo/server.hpp>

#include <millrace/pool/pool.hpp>

#include <fmt/format.h>

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace millrace;
using namespace std::chrono_literals;

constexpr auto settle = 2s;

struct thread_count {
  std::string name;
  std::uint64_t sleeps = 0;
};

// by thread id: times it went to sleep, each of which ends in a wake-up
std::map<std::string, thread_count> count_threads() {
  std::map<std::string, thread_count> threads;
  for (auto const& task : std::filesystem::directory_iterator("/proc/self/task")) {
    thread_count& one = threads[task.path().filename()];
    std::ifstream lines(task.path() / "status");
    for (std::string line; std::getline(lines, line);) {
      std::string const value = line.substr(line.find('\t') + 1);
      if (line.starts_with("Name:")) one.name = value;
      if (line.starts_with("voluntary_ctxt_switches:")) one.sleeps = std::stoull(value);
    }
  }
  return threads;
}

// the calling thread, which does the watching, is left out
void watch(char const* what, std::chrono::seconds length) {
  std::this_thread::sleep_for(settle);
  auto const before = count_threads();
  std::this_thread::sleep_for(length);
  auto const after = count_threads();
  std::uint64_t loops = 0, others = 0;
  std::string who;
  for (auto const& [id, one] : after) {
    auto const was = before.find(id);
    std::uint64_t const slept = one.sleeps - (was == before.end() ? 0 : was->second.sleeps);
    if (id == std::to_string(getpid())) continue;
    (one.name == "loop" ? loops : others) += slept;
    if (slept > 0 && one.name != "loop") who += fmt::format(" {}:{}", one.name, slept);
  }
  fmt::print("{:<28} {:>8} {:>16} {:>20} {}\n", what, length.count(), loops, others, who);
  std::fflush(stdout);
}

void run_idle(char const* what, std::chrono::seconds length, std::string const& target, bool let_go) {
  millrace::loop loop;
  std::optional<millrace::pool> pool;
  bool ready = target.empty();
  if (!ready) {
    pool.emplace(loop, pool_params{.target = target, .min_slots = 4, .max_slots = 4});
    pool->async_ready({.min_ready = 4}, [&](error_code error) { ready = !error; });
    loop.run();
    if (!ready) {
      fmt::print(stderr, "bench-idle: {}: {}\n", target, pool->why_not_ready());
      std::exit(1);
    }
  }
  if (let_go) pool.reset();
  loop.work_started();
  std::thread runner([&] {
    pthread_setname_np(pthread_self(), "loop");
    loop.run();
  });
  watch(what, length);
  loop.interrupt();
  runner.join();
  loop.work_finished();
}

// a backend in a process of its own, so that its threads are not counted; forked before gRPC has any
struct backend {
  pid_t pid;
  std::string address;
};

backend start_backend() {
  int ends[2] = {};
  if (pipe(ends) != 0) std::exit(1);
  pid_t const pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    echo::server server({});
    std::string const line = server.address() + "\n";
    if (write(ends[1], line.data(), line.size()) < 0) _exit(1);
    server.run();
    _exit(0);
  }
  std::string address;
  for (char c = 0; read(ends[0], &c, 1) == 1 && c != '\n';) address += c;
  return {pid, address};
}

}  // namespace

int main(int argc, char** argv) {
  int const seconds = argc > 1 ? std::atoi(argv[1]) : 10;
  if (argc > 2 || seconds < 1) {
    fmt::print(stderr, "usage: bench-idle [SECONDS], at least 1; 10 without\n");
    return 2;
  }
  auto const [pid, address] = start_backend();
  std::chrono::seconds const length(seconds);
  fmt::print("{:<28} {:>8} {:>16} {:>20}\n", "idle wake-ups", "seconds", "the loop's thread", "all other threads");
  run_idle("a loop with a work guard", length, "", false);
  run_idle("a pool with 4 ready slots", length, address, false);
  run_idle("the pool gone again", length, address, true);
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}
