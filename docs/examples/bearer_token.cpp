// SPDX-License-Identifier: Apache-2.0
// Calls with a token that is fetched by another call. usage: bearer_token [HOST:PORT]
#include <millrace/call/client.hpp>
#include <millrace/intercept/bearer_token.hpp>
#include <millrace/intercept/chain.hpp>

#include <echo.grpc.pb.h>
#include <fmt/core.h>

#include <functional>

using namespace std::chrono_literals;
using millrace::echo::Echo;
using millrace::echo::EchoReply;
using millrace::echo::EchoRequest;

// [fetch]
// asks a server for a token; the echo server, of all servers, gives out any
void fetch_token(millrace::client<Echo> issuer, std::function<void(millrace::token_result)> done) {
  EchoRequest request;
  request.set_text("open-sesame");
  issuer.async_call<&Echo::Stub::PrepareAsyncSay>(
      request, {.timeout = 1s}, [done = std::move(done)](millrace::rpc_result<EchoReply> reply) {
        if (!reply) return done(millrace::token_failure{reply.error().error_message()});
        done(millrace::bearer_token{.value = reply->text(), .expires_at = millrace::clock::now() + 1h});
      });
}
// [end]

int main(int argc, char** argv) {
  millrace::loop loop;
  millrace::pool pool{loop, {.target = argc > 1 ? argv[1] : "localhost:50051"}};

  // [chain]
  millrace::client<Echo> issuer(pool);
  int fetches = 0;
  millrace::chain chain;
  chain.emplace<millrace::bearer_token_interceptor>(millrace::bearer_token_params{.fetch =
                                                                                      [&](auto done) {
                                                                                        ++fetches;
                                                                                        fetch_token(issuer,
                                                                                                    std::move(done));
                                                                                      },
                                                                                  .refresh_margin = 5min});
  millrace::client<Echo> echo(pool, {.interceptors = chain});
  // [end]

  int answered = 0;
  for (int n = 0; n < 3; ++n) {
    EchoRequest request;
    request.set_text("hello");
    echo.async_call<&Echo::Stub::PrepareAsyncSay>(request, {.timeout = 2s}, [&](millrace::rpc_result<EchoReply> reply) {
      if (reply) ++answered;
    });
  }
  loop.run();
  fmt::print("{} calls answered, {} token fetched\n", answered, fetches);
}
