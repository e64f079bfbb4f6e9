// SPDX-License-Identifier: Apache-2.0
#include "port.hpp"

#include <support/flags.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <cstdlib>
#include <optional>

namespace millrace::embedded {

int run(program const& one, int argc, char** argv) {
  // gRPC's own log lines would come before ours; GRPC_VERBOSITY=ERROR brings them back
  setenv("GRPC_VERBOSITY", "NONE", 0);
  CLI::App app(one.what, one.name);
  std::optional<std::string> port;
  bool no_cork = false;
  app.add_option("--port", port, "Port of 127.0.0.1 to listen on; 0 takes a free one")->type_name("P");
  if (one.may_cork) app.add_flag("--no-cork", no_cork, "Do not coalesce what the answers of a loop turn write");
  try {
    if (auto const help = bench::parse(app, argc, argv)) return bench::leave(*help);
    if (!port) throw bench::bad_flag("--port", std::nullopt, "it is required: 0 (one that is free) to 65535");
    if (one.serve(fmt::format("127.0.0.1:{}", bench::whole("--port", *port, {0, 65535})), !no_cork)) return 0;
    fmt::print(stderr, "{}: cannot listen on 127.0.0.1:{}: is the port taken?\n", one.name, *port);
    return 1;
  } catch (bench::bad_flag const& error) {
    return bench::leave(bench::refusal(one.name, error));
  }
}

void say_listening(char const* name, int port) {
  fmt::print("{} listening on 127.0.0.1:{}\n", name, port);
  std::fflush(stdout);
}

}  // namespace millrace::embedded
