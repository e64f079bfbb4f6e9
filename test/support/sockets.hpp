// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <fstream>
#include <sstream>
#include <string>

namespace millrace::test {

/// Established TCP connections to a port of this machine, counted at the client's end, as the kernel lists them. A v4
/// connection made by gRPC is in the v6 table, with a mapped address.
inline std::size_t established_to(int port) {
  std::size_t found = 0;
  for (auto const* const table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream lines(table);
    std::string line;
    std::getline(lines, line);  // the heading
    while (std::getline(lines, line)) {
      std::istringstream words(line);
      std::string number, local, remote, state;
      words >> number >> local >> remote >> state;
      bool const here = std::stoi(remote.substr(remote.rfind(':') + 1), nullptr, 16) == port;
      if (here && state == "01") ++found;
    }
  }
  return found;
}

}  // namespace millrace::test
