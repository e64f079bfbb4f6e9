// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <sys/types.h>
#include <optional>
#include <string>
#include <vector>

namespace millrace::bench {

/// A child process whose output is read here. It is killed when this goes, and by the kernel when this process dies.
///
/// Thread: the one that stays for as long as the child, since the kernel watches the thread.
class child {
 public:
  enum class output { standard, error };

  /// Runs `arguments` on that core only (none: on any). `read`: which of its two outputs is read; with `error` the other goes
  /// nowhere. Throws std::runtime_error when it cannot be started.
  child(std::vector<std::string> const& arguments, std::optional<int> core, output read = output::standard);
  child(child const&) = delete;
  child& operator=(child const&) = delete;
  ~child();

  /// Its next line, without the end; none when it has closed its output, at `until`, or on a signal.
  std::optional<std::string> read_line(time_point until);

  /// What has become of it so far: "still runs", "ended with status 1", "ended by signal 9"; "was waited for" once
  /// `wait` has returned. Does not wait.
  std::string fate();

  /// Waits for its end, at most until `until`, then kills it. Returns its exit status; 128 and more for a signal.
  int wait(time_point until);

 private:
  pid_t pid_ = 0;
  int output_ = -1;
  std::string buffered_;
};

/// Set once SIGINT, SIGTERM or SIGHUP has come.
bool interrupted() noexcept;

/// From now on these signals set `interrupted` and make `child`'s functions return.
void catch_interrupts();

}  // namespace millrace::bench
