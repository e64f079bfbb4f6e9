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
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

void serve(echo::options const& options, sigset_t const& signals) {
  echo::server server(options);
  fmt::print("millrace-echo listening on {}\n", server.address());
  std::fflush(stdout);
  std::thread stopper([&] {
    int signal = 0;
    sigwait(&signals, &signal);
    server.stop();
  });
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
  sigset_t const signals = block_signals();
  try {
    serve(std::get<echo::options>(parsed), signals);
  } catch (std::runtime_error const& error) {
    fmt::print(stderr, "millrace-echo: {}\n", error.what());
    return 1;
  }
  return 0;
}
