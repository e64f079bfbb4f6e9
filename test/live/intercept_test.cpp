// SPDX-License-Identifier: Apache-2.0
// Interceptors on real calls.
#include <support/call_once.hpp>
#include <support/echo_server.hpp>

#include <millrace/intercept/bearer_token.hpp>
#include <millrace/intercept/chain.hpp>
#include <millrace/intercept/logging.hpp>
#include <millrace/intercept/static_chain.hpp>
#include <millrace/loop/steady_timer.hpp>

#include <functional>
#include <vector>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;
using echo::Echo;
using echo::EchoReply;

namespace {

/// Hands a token out after a while, on the loop.
struct token_service {
  explicit token_service(millrace::loop& loop) : timer(loop) {}

  bearer_token_params params() {
    return {.fetch = [this](std::function<void(token_result)> done) {
      ++fetches;
      timer.expires_after(20ms);
      timer.async_wait([this, done = std::move(done)](error_code) { done(answer); });
    }};
  }

  millrace::steady_timer timer;
  int fetches = 0;
  token_result answer = bearer_token{.value = "s3cret"};
};

int answered(millrace::loop& loop, client<Echo> echo, int calls) {
  int ok = 0;
  for (int call = 0; call < calls; ++call) {
    echo.async_call<&Echo::Stub::PrepareAsyncSay>(saying("x"), {.timeout = 20s},
                                                  [&](rpc_result<EchoReply> reply) { ok += reply.has_value(); });
  }
  loop.run();
  return ok;
}

}  // namespace

TEST_CASE("trap T35: many calls wait for one token, and the server gets it", "[live][intercept][T35]") {
  echo_server server;
  millrace::loop loop;
  token_service tokens(loop);
  chain all;
  all.emplace<bearer_token_interceptor>(tokens.params());
  millrace::pool pool{loop, {.target = server.address()}};
  client<Echo> echo(pool, {.interceptors = all});
  CHECK(answered(loop, echo, 50) == 50);
  CHECK(tokens.fetches == 1);
  CHECK(server.calls() == 50);
  CHECK(server.last_sent("authorization") == "Bearer s3cret");
}

TEST_CASE("intercept: without a token no call leaves", "[live][intercept]") {
  echo_server server;
  millrace::loop loop;
  token_service tokens(loop);
  tokens.answer = token_failure{"the vault is closed"};
  chain all;
  all.emplace<bearer_token_interceptor>(tokens.params());
  millrace::pool pool{loop, {.target = server.address()}};
  auto const reply = call_once(loop, {pool, {.interceptors = all}}, saying("x"), {.timeout = 20s});
  REQUIRE(reply.has_error());
  CHECK(reply.error().error_code() == grpc::StatusCode::UNAUTHENTICATED);
  CHECK_THAT(reply.error().error_message(), Catch::Contains("the vault is closed"));
  CHECK(server.calls() == 0);
}

TEST_CASE("intercept: a call whose deadline passes while it waits for a token ends in time", "[live][intercept]") {
  echo_server server;
  millrace::loop loop;
  std::function<void(token_result)> never_called;
  chain all;
  all.emplace<bearer_token_interceptor>(
      bearer_token_params{.fetch = [&](std::function<void(token_result)> done) { never_called = std::move(done); }});
  millrace::pool pool{loop, {.target = server.address()}};
  auto const reply = call_once(loop, {pool, {.interceptors = all}}, saying("x"), {.timeout = 50ms});
  REQUIRE(reply.has_error());
  CHECK(reply.error().error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  CHECK(server.calls() == 0);
  never_called(bearer_token{.value = "late"});
  loop.run();
}

TEST_CASE("intercept: the logging interceptor writes a line a call, in a chain and in a static_chain",
          "[live][intercept]") {
  echo_server server;
  millrace::loop loop;
  std::vector<std::string> lines;
  auto const sink = [&](std::string_view line) { lines.emplace_back(line); };
  millrace::pool pool{loop, {.target = server.address()}};
  chain dynamic;
  dynamic.emplace<logging_interceptor>(sink);
  static_chain<logging_interceptor> fixed{logging_interceptor(sink)};
  for (chain_ref const one : {chain_ref(dynamic), chain_ref(fixed)}) {
    lines.clear();
    client<Echo> echo(pool, {.interceptors = one});
    CHECK(answered(loop, echo, 3) == 3);
    CHECK(call_once(loop, echo, failing(grpc::StatusCode::NOT_FOUND)).has_error());
    REQUIRE(lines.size() == 4);
    CHECK_THAT(lines.front(), Catch::StartsWith("/millrace.echo.Echo/Say: OK in "));
    CHECK_THAT(lines.back(), Catch::Contains("NOT_FOUND") && Catch::Contains("1 attempt: as requested"));
  }
}

TEST_CASE("intercept: a token and a log line in one static_chain", "[live][intercept]") {
  echo_server server;
  millrace::loop loop;
  token_service tokens(loop);
  int lines = 0;
  static_chain both{logging_interceptor([&](std::string_view) { ++lines; }), bearer_token_interceptor(tokens.params())};
  millrace::pool pool{loop, {.target = server.address()}};
  client<Echo> echo(pool, {.interceptors = both});
  CHECK(answered(loop, echo, 20) == 20);
  CHECK(tokens.fetches == 1);
  CHECK(lines == 20);
  CHECK(server.last_sent("authorization") == "Bearer s3cret");
}

TEST_CASE("intercept: any number of metadata entries arrives, in order and on every attempt", "[live][intercept]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  for (int const entries : {1, 8, 9, 11, 12, 13, 40}) {
    INFO(entries << " entries");
    call_options options{.timeout = 20s};
    std::string expected;
    for (int entry = 0; entry < entries; ++entry) {
      std::string const value = "value " + std::to_string(entry) + std::string(20, 'x');
      options.metadata.emplace_back("x-many", value);
      expected += (entry == 0 ? "" : ",") + value;
    }
    options.metadata.emplace_back("x-raw-bin", std::string("\0\xff\n", 3));
    auto request = failing(grpc::StatusCode::UNAVAILABLE);
    request.set_ok_after_attempts(1);
    auto const reply = call_once(loop, pool, request, options);
    INFO(why(reply));
    REQUIRE(reply.has_value());
    CHECK(reply->previous_attempts() == 1);
    CHECK(server.last_sent("x-many") == expected);
    CHECK(server.last_sent("x-raw-bin") == std::string("\0\xff\n", 3));
  }
}
