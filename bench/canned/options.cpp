// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <CLI/CLI.hpp>

#include <string>

namespace millrace::canned {
namespace {

constexpr std::uint64_t longest_reply = 1u << 24u;

struct texts {
  std::optional<std::string> port;
  std::optional<std::string> reply_bytes;
};

options checked(texts const& given) {
  options made;
  if (!given.port) throw bench::bad_flag("--port", std::nullopt, "it is required: 0 (one that is free) to 65535");
  made.port = static_cast<std::uint16_t>(bench::whole("--port", *given.port, {0, 65535}));
  if (given.reply_bytes) {
    made.reply_bytes =
        static_cast<std::uint32_t>(bench::whole("--reply-bytes", *given.reply_bytes, {0, longest_reply}));
    // no protobuf message is that short
    if (*made.reply_bytes == 1) throw bench::bad_flag("--reply-bytes", "1", "allowed are 0 and 2 to 16777216");
  }
  return made;
}

}  // namespace

std::variant<options, bench::exit_now> parse_options(int argc, char const* const* argv) {
  CLI::App app("Answers any unary gRPC method on 127.0.0.1 with a canned message, at the least cost HTTP/2 allows.",
               "millrace-canned");
  texts given;
  app.add_option("--port", given.port, "Port to listen on; 0 takes a free one")->type_name("P");
  app.add_option("--reply-bytes", given.reply_bytes, "Length of each answer's message (default: that of its request)")
      ->type_name("N");
  try {
    if (auto help = bench::parse(app, argc, argv)) return *std::move(help);
    return checked(given);
  } catch (bench::bad_flag const& error) {
    return bench::refusal("millrace-canned", error);
  }
}

}  // namespace millrace::canned
