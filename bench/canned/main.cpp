// SPDX-License-Identifier: Apache-2.0
// millrace-canned: a server so cheap that a benchmark measures its client.
#include "server.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <stdexcept>

int main(int argc, char** argv) {
  using namespace millrace;
  auto const parsed = canned::parse_options(argc, argv);
  if (auto const* const instead = std::get_if<bench::exit_now>(&parsed)) return bench::leave(*instead);
  try {
    canned::server server(std::get<canned::options>(parsed));
    fmt::print("millrace-canned listening on {}\n", server.address());
    std::fflush(stdout);
    server.run();
    fmt::print("millrace-canned: {} calls answered\n", server.answered());
  } catch (std::runtime_error const& error) {
    fmt::print(stderr, "millrace-canned: {}\n", error.what());
    return 1;
  }
  return 0;
}
