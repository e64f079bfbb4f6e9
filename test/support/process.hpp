// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <support/catch.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace millrace::test {

/// A child process whose standard output is read here. Killed, at the latest, when this goes.
class process {
 public:
  process() noexcept = default;
  explicit process(std::vector<std::string> const& arguments) {
    int ends[2] = {};
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    output_ = fdopen(ends[0], "r");
    std::vector<char*> argv;
    for (auto const& one : arguments) argv.push_back(const_cast<char*>(one.c_str()));
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      // it must not outlive a test that crashes; only what is safe after fork in a program with threads
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      dup2(ends[1], STDOUT_FILENO);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(ends[1]);
    REQUIRE(pid_ > 0);
  }
  process(process&& other) noexcept
      : pid_(std::exchange(other.pid_, 0)), output_(std::exchange(other.output_, nullptr)) {}
  process& operator=(process&& other) noexcept {
    process taken(std::move(other));
    std::swap(pid_, taken.pid_);
    std::swap(output_, taken.output_);
    return *this;
  }
  ~process() {
    kill();
    if (output_ != nullptr) std::fclose(output_);
  }

  /// The next line it prints, without its end; empty when it has closed its output.
  std::string read_line() {
    std::string line;
    for (int c = std::fgetc(output_); c != EOF && c != '\n'; c = std::fgetc(output_)) line += static_cast<char>(c);
    return line;
  }

  /// Nothing when it has ended.
  void signal(int number) const {
    if (pid_ != 0) ::kill(pid_, number);
  }

  bool ended() {
    int status = 0;
    if (pid_ != 0 && waitpid(pid_, &status, WNOHANG) == pid_) pid_ = 0;
    return pid_ == 0;
  }

  /// SIGKILL, and waits until it is gone.
  void kill() {
    if (pid_ == 0) return;
    signal(SIGKILL);
    int status = 0;
    waitpid(std::exchange(pid_, 0), &status, 0);
  }

 private:
  pid_t pid_ = 0;
  std::FILE* output_ = nullptr;
};

/// A millrace-echo in a process of its own, which may be killed and started again on the same port.
class echo_process {
 public:
  explicit echo_process(std::vector<std::string> flags = {}) : flags_(std::move(flags)) { start(); }

  /// Returns when it listens.
  void start() {
    char const* const program = std::getenv("MILLRACE_ECHO");
    if (program == nullptr) FAIL("MILLRACE_ECHO must name the program");
    std::vector<std::string> arguments{program, "--port", std::to_string(port_)};
    arguments.insert(arguments.end(), flags_.begin(), flags_.end());
    process_ = process(arguments);
    std::string const line = process_.read_line();
    INFO("millrace-echo said: " << line);
    REQUIRE(line.find("listening on 127.0.0.1:") != std::string::npos);
    port_ = std::stoi(line.substr(line.rfind(':') + 1));
  }
  void kill() { process_.kill(); }
  void signal(int number) const { process_.signal(number); }
  bool ended() { return process_.ended(); }

  int port() const noexcept { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  std::vector<std::string> flags_;
  int port_ = 0;
  process process_;
};

}  // namespace millrace::test
