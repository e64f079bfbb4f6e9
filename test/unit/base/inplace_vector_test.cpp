// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/inplace_vector.hpp>

#include <support/catch.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <vector>

using namespace millrace;

namespace {

// the signal that ends a child which does `what`; 0 when it ends well
template <class What>
int signal_of(What what) {
  pid_t const child = fork();
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);
    close(STDERR_FILENO);
    what();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

}  // namespace

TEST_CASE("inplace_vector: holds what was pushed, in order", "[base][inplace_vector]") {
  inplace_vector<int, 3> some;
  CHECK(some.empty());
  CHECK(some.begin() == some.end());
  for (int value : {5, 6, 7}) some.push_back(value);
  CHECK(some.size() == 3);
  CHECK(some[0] == 5);
  CHECK(some[2] == 7);
  CHECK(std::vector<int>(some.begin(), some.end()) == std::vector<int>{5, 6, 7});
}

TEST_CASE("inplace_vector: is a value", "[base][inplace_vector]") {
  inplace_vector<int, 3> some;
  some.push_back(1);
  auto copy = some;
  copy.push_back(2);
  CHECK(some.size() == 1);
  CHECK(copy.size() == 2);
}

TEST_CASE("inplace_vector: one too many is a bug and aborts", "[base][inplace_vector]") {
  auto const push = [](int count) {
    inplace_vector<int, 2> some;
    for (int i = 0; i < count; ++i) some.push_back(i);
  };
  CHECK(signal_of([&] { push(2); }) == 0);
  CHECK(signal_of([&] { push(3); }) == SIGABRT);
}
