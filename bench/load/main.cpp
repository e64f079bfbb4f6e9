// SPDX-License-Identifier: Apache-2.0
#include <load/configure.hpp>
#include <load/driver.hpp>
#include <load/options.hpp>
#include <load/report.hpp>
#include <load/resolvable.hpp>

#include <absl/synchronization/mutex.h>
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace {

using namespace millrace;

int drive(load::options const& asked) {
  load::driver driver(asked);
  load::report const result = driver.run();
  // with --json - the report alone is on stdout
  std::FILE* const people = asked.json == "-" ? stderr : stdout;
  fmt::print(people, "\n{}", load::to_table(result));
  if (!driver.first_failure().empty()) fmt::print(people, "first failure: {}\n", driver.first_failure());
  bool const written = asked.json.empty() || load::write_json(result, asked.json);
  bool const good = asked.allow_failures || (result.failed == 0 && !driver.unreachable());
  return good && written ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  // Debian's abseil looks for deadlocks at every lock, for the whole process: 2.5 to 6 thousand instructions a call. What a
  // program may decide for itself, a library may not
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  // gRPC's own log lines would come between ours; GRPC_VERBOSITY=ERROR brings them back
  setenv("GRPC_VERBOSITY", "NONE", 0);
  auto const parsed = load::parse_options(argc, argv);
  if (auto const* const instead = std::get_if<bench::exit_now>(&parsed)) return bench::leave(*instead);
  auto const& asked = std::get<load::options>(parsed);
  if (asked.explain) {
    fmt::print("{}", load::explained(asked));
    return 0;
  }
  if (auto const refused = load::unresolvable(asked)) return bench::leave(*refused);
  try {
    return drive(asked);
  } catch (std::exception const& error) {
    fmt::print(stderr, "millrace-load: {}\n", error.what());
    return 2;
  }
}
