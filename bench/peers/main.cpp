// SPDX-License-Identifier: Apache-2.0
// bench-peers: what a unary call costs, by millrace and by other clients of gRPC.
#include "report.hpp"
#include "run.hpp"
#include "worker.hpp"

#include <support/flags.hpp>

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>

namespace {

using namespace millrace;

int work(int argc, char** argv) {
  try {
    return peers::work_off(peers::parse_assignment(argc, argv));
  } catch (bench::bad_flag const& error) {
    return bench::leave(bench::refusal("bench-peers", error));
  }
}

bool write(std::string const& text, std::string const& path, std::string_view flag) {
  if (path.empty() || bench::write_text(text, path)) return true;
  fmt::print(stderr, "bench-peers: {} '{}': it cannot be written\n", flag, path);
  return false;
}

int compare(peers::options const& asked) {
  bench::catch_interrupts();
  auto here = bench::machine::here();
  auto const done = peers::run(asked, here).measure();
  here.note_load();
  auto const all = peers::summarise(asked, here, done);
  fmt::print(asked.json == "-" ? stderr : stdout, "{}", peers::to_tables(all));
  std::fflush(stdout);
  if (bench::interrupted()) return 130;
  bool const written = write(peers::to_json(all), asked.json, "--json") &&
                       (asked.docs.empty() || write(peers::to_page(all), asked.docs, "--docs-file"));
  // a slow run is a finding; a call that failed is a mistake
  return written && !done.failed ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  // gRPC's own log lines would come between ours; GRPC_VERBOSITY=ERROR brings them back
  setenv("GRPC_VERBOSITY", "NONE", 0);
  if (argc > 1 && std::string_view(argv[1]) == "--worker") return work(argc, argv);
  auto const parsed = peers::parse_options(argc, argv);
  if (auto const* const instead = std::get_if<bench::exit_now>(&parsed)) return bench::leave(*instead);
  try {
    return compare(std::get<peers::options>(parsed));
  } catch (std::exception const& error) {
    fmt::print(stderr, "bench-peers: {}\n", error.what());
    return 1;
  }
}
