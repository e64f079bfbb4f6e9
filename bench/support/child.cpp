// SPDX-License-Identifier: Apache-2.0
#include "child.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>

namespace millrace::bench {
namespace {

volatile std::sig_atomic_t signal_seen = 0;

// how long a child has between its last line and its end
constexpr auto poll_slice = std::chrono::milliseconds{2};

[[noreturn]] void become(std::vector<char*> const& argv, std::optional<int> core, int out, int fd, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  if (core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(*core), &set);
    sched_setaffinity(0, sizeof set, &set);
  }
  if (fd == STDERR_FILENO) dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
  dup2(out, fd);
  execv(argv[0], argv.data());
  _exit(127);
}

int left(time_point until) noexcept {
  auto const ms = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::clamp<decltype(ms)>(ms, 0, 1'000'000));
}

}  // namespace

child::child(std::vector<std::string> const& arguments, std::optional<int> core, output read) {
  std::vector<char*> argv;
  for (std::string const& one : arguments) argv.push_back(const_cast<char*>(one.c_str()));
  argv.push_back(nullptr);
  int ends[2] = {};
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error(std::strerror(errno));
  pid_t const parent = getpid();
  pid_ = fork();
  if (pid_ == 0) become(argv, core, ends[1], read == output::error ? STDERR_FILENO : STDOUT_FILENO, parent);
  int const error = errno;
  close(ends[1]);
  output_ = ends[0];
  if (pid_ > 0) return;
  close(output_);
  throw std::runtime_error("cannot start " + arguments.front() + ": " + std::strerror(error));
}

child::~child() {
  wait(std::chrono::steady_clock::now());
  close(output_);
}

std::optional<std::string> child::read_line(time_point until) {
  for (;;) {
    if (auto const end = buffered_.find('\n'); end != std::string::npos) {
      std::string line = buffered_.substr(0, end);
      buffered_.erase(0, end + 1);
      return line;
    }
    pollfd one{output_, POLLIN, 0};
    if (interrupted() || poll(&one, 1, left(until)) <= 0) return std::nullopt;
    char bytes[4096];
    ssize_t const got = ::read(output_, bytes, sizeof bytes);
    if (got <= 0) return std::nullopt;
    buffered_.append(bytes, static_cast<std::size_t>(got));
  }
}

std::string child::fate() {
  siginfo_t seen{};
  // it stays a zombie, for wait and the destructor to collect
  if (waitid(P_PID, static_cast<id_t>(pid_), &seen, WEXITED | WNOHANG | WNOWAIT) != 0) return "was waited for";
  if (seen.si_pid == 0) return "still runs";
  return (seen.si_code == CLD_EXITED ? "ended with status " : "ended by signal ") + std::to_string(seen.si_status);
}

int child::wait(time_point until) {
  if (pid_ <= 0) return 0;
  int status = 0;
  while (waitpid(pid_, &status, WNOHANG) == 0) {
    if (interrupted() || std::chrono::steady_clock::now() >= until) {
      ::kill(pid_, SIGKILL);
      while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
      }
      break;
    }
    // its output ends a moment before it does
    poll(nullptr, 0, static_cast<int>(poll_slice.count()));
  }
  pid_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool interrupted() noexcept { return signal_seen != 0; }

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int signal) { signal_seen = signal; };
  // without SA_RESTART: what waits returns
  for (int const one : {SIGINT, SIGTERM, SIGHUP}) sigaction(one, &action, nullptr);
}

}  // namespace millrace::bench
