// SPDX-License-Identifier: Apache-2.0
// millrace-echo: a backend for demos, tests and benchmarks.
#include "server.hpp"

#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>

namespace {

using namespace millrace;

// blocked in every thread gRPC will make too, so that sigwait gets them
sigset_t block_signals(echo::options const& options) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  if (options.health) sigaddset(&signals, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

void flip_health(echo::server& server) {
  fmt::print(stderr, "millrace-echo: health is {} now\n", server.flip_health() ? "SERVING" : "NOT_SERVING");
}

// until a signal says so; another one flips the health
void stop_when_told(echo::server& server, sigset_t const& signals) {
  for (int signal = 0; sigwait(&signals, &signal) == 0 && signal == SIGUSR1;) flip_health(server);
  server.stop();
}

void serve(echo::options const& options, sigset_t const& signals) {
  echo::server server(options);
  fmt::print("millrace-echo listening on {}\n", server.address());
  std::fflush(stdout);
  std::thread stopper([&] { stop_when_told(server, signals); });
  server.run();
  stopper.join();
  fmt::print("millrace-echo: {} calls served, {} of them failed on purpose\n", server.served(), server.failed());
}

}  // namespace

int main(int argc, char** argv) {
  // gRPC's own log lines would come before ours; GRPC_VERBOSITY=ERROR brings them back
  setenv("GRPC_VERBOSITY", "NONE", 0);
  auto const parsed = echo::parse_options(argc, argv);
  if (auto const* const instead = std::get_if<bench::exit_now>(&parsed)) return bench::leave(*instead);
  auto const& options = std::get<echo::options>(parsed);
  sigset_t const signals = block_signals(options);
  try {
    serve(options, signals);
  } catch (std::runtime_error const& error) {
    fmt::print(stderr, "millrace-echo: {}\n", error.what());
    return 1;
  }
  return 0;
}
