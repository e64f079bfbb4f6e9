// SPDX-License-Identifier: Apache-2.0
// bench-guard-calls: unary calls through the engine with nothing beneath it, for a profiler to count.
#include "instant.hpp"

#include <support/allocations.hpp>
#include <support/flags.hpp>
#include <support/interceptors.hpp>

#include <millrace/call/unary_operation.hpp>
#include <millrace/metrics/counters.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/version.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <gnu/libc-version.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

namespace {

using namespace millrace;
using namespace std::chrono_literals;
namespace asio = boost::asio;

constexpr unsigned in_flight = 64;
constexpr duration call_timeout = 10s;

// what a call is made with
struct setting {
  bool coroutines = false;
  bool observer = true;
  bool interceptors = true;
};

struct options {
  setting how;
  std::uint64_t calls = 2000;
  bool versions = false;
};

struct decode_status {
  struct value_type {};
  using result_type = status_code;
  static bool decode(message&&, value_type&, status&) noexcept { return true; }
  static result_type finish(status&& how, value_type&&) noexcept { return how.code; }
};

class run {
 public:
  run(setting how, std::uint64_t calls)
      : how_(how),
        left_(calls),
        loop_(std::make_unique<guard::instant_port>()),
        pool_(loop_, pool(), guard::instant_channels(loop_, events())),
        client_(std::make_shared<client_core>(pool_, guard::instant_transport(loop_, events()), client())) {}

  void make_calls() {
    for (unsigned lane = 0; lane < in_flight; ++lane) {
      if (how_.coroutines) {
        asio::co_spawn(loop_, make_calls_in_turn(), asio::detached);
      } else {
        next();
      }
    }
    loop_.run();
    if (failed_ > 0) throw std::runtime_error(fmt::format("{} calls failed", failed_));
  }

 private:
  guard::instant_port& events() { return static_cast<guard::instant_port&>(loop_.events()); }

  pool_params pool() {
    return {.target = "guard:1",
            .min_slots = 1,
            .max_slots = 1,
            .observer = how_.observer ? static_cast<observer*>(&counters_) : nullptr};
  }

  client_params client() {
    return {.default_timeout = call_timeout, .interceptors = how_.interceptors ? chain_ref(chain_) : chain_ref()};
  }

  template <class Token>
  auto call(Token&& token) {
    return async_unary<decode_status>(client_, method_, guard::instant_message(), {.timeout = call_timeout},
                                      std::forward<Token>(token));
  }

  bool begin() noexcept { return left_ > 0 && left_-- > 0; }
  void judge(status_code code) noexcept { failed_ += code == status_code::ok ? 0 : 1; }

  void next() {
    if (!begin()) return;
    call([this](status_code code) {
      judge(code);
      next();
    });
  }

  asio::awaitable<void> make_calls_in_turn() {
    while (begin()) judge(co_await call(asio::use_awaitable));
  }

  setting const how_;
  std::uint64_t left_;
  std::uint64_t failed_ = 0;
  method const method_ = method::unnumbered("/millrace.echo.Echo/Say");
  counters counters_;
  chain chain_ = bench::two_interceptors(call_timeout);
  millrace::loop loop_;
  millrace::pool pool_;
  std::shared_ptr<client_core> client_;
};

// what two counts must share to be compared
void print_versions() {
#ifdef __clang__
  constexpr char const* compiler = "clang " __clang_version__;
#else
  constexpr char const* compiler = "g++ " __VERSION__;
#endif
#if defined(__OPTIMIZE__) && defined(NDEBUG)
  constexpr bool optimised = true;
#else
  constexpr bool optimised = false;
#endif
  fmt::print(R"({{"compiler": "{}", "boost": "{}", "grpc": "{}", "libc": "{}", "optimised": "{}"}})"
             "\n",
             compiler, BOOST_LIB_VERSION, MILLRACE_GRPC_VERSION, gnu_get_libc_version(), optimised);
}

setting setting_of(std::string const& name) {
  if (name == "engine") return {};
  if (name == "engine-coro") return {.coroutines = true};
  if (name == "engine-unobserved") return {.observer = false};
  if (name == "engine-unintercepted") return {.interceptors = false};
  throw bench::bad_flag("--variant", name, "allowed are engine, engine-coro, engine-unobserved, engine-unintercepted");
}

std::variant<options, bench::exit_now> parse(int argc, char** argv) {
  CLI::App app("Unary calls through the engine to a peer that costs nothing, 64 at a time, for a profiler to count.",
               "bench-guard-calls");
  options made;
  std::string name = "engine";
  std::string calls = "2000";
  app.add_option("--variant", name,
                 "engine (callbacks, counters, two interceptors), engine-coro, engine-unobserved or "
                 "engine-unintercepted (default engine)")
      ->type_name("NAME");
  app.add_option("--calls", calls, "How many (default 2000)")->type_name("N");
  app.add_flag("--versions", made.versions, "Print what it was built with, as JSON, and make no call");
  if (auto help = bench::parse(app, argc, argv)) return *std::move(help);
  made.how = setting_of(name);
  made.calls = bench::whole("--calls", calls, {1, 1'000'000'000});
  return made;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    auto const parsed = parse(argc, argv);
    if (auto const* const instead = std::get_if<bench::exit_now>(&parsed)) return bench::leave(*instead);
    auto const& asked = std::get<options>(parsed);
    if (asked.versions) return print_versions(), 0;
    run(asked.how, asked.calls).make_calls();
    fmt::print("{{\"calls\": {}, \"allocations\": {}}}\n", asked.calls, bench::allocation_count());
    return 0;
  } catch (bench::bad_flag const& error) {
    return bench::leave(bench::refusal("bench-guard-calls", error));
  } catch (std::exception const& error) {
    fmt::print(stderr, "bench-guard-calls: {}\n", error.what());
    return 1;
  }
}
