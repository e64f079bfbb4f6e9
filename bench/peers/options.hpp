// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <support/flags.hpp>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace millrace::peers {

/// What `bench-peers` is asked to measure: every client in every cell, a cell being a server, a payload and a number in flight.
struct options {
  std::vector<std::string> clients;
  std::vector<std::string> servers;
  std::vector<std::uint32_t> payloads;
  std::vector<unsigned> in_flight;
  unsigned rounds = 5;
  bool quick = false;
  bool instructions = false;
  std::string
      static_worker;  ///< Path of a bench-peers whose gRPC is linked statically, to measure as well; empty: none.
  std::string json;   ///< Empty: none. `-`: stdout.
  std::string docs;   ///< The page to write; empty: none.
  std::string given;  ///< The flags as they were written, for the page.
};

/// The options of a command line, or what to do instead of measuring. Any thread.
std::variant<options, bench::exit_now> parse_options(int argc, char const* const* argv);

}  // namespace millrace::peers
