// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/call/client.hpp>

#include <support/catch.hpp>

#include <echo.grpc.pb.h>

#include <optional>
#include <string>
#include <utility>

namespace millrace::test {

inline echo::EchoRequest saying(std::string text) {
  echo::EchoRequest request;
  request.set_text(std::move(text));
  return request;
}

inline echo::EchoRequest failing(grpc::StatusCode code) {
  echo::EchoRequest request;
  request.set_code(code);
  return request;
}

/// Calls once and runs the loop until the answer.
inline rpc_result<echo::EchoReply> call_once(loop& on, client<echo::Echo> echo, echo::EchoRequest const& request,
                                             call_options options = {}) {
  std::optional<rpc_result<echo::EchoReply>> answer;
  echo.async_call<&echo::Echo::Stub::PrepareAsyncSay>(
      request, std::move(options), [&](rpc_result<echo::EchoReply> reply) { answer = std::move(reply); });
  on.run();
  REQUIRE(answer);
  return std::move(*answer);
}

/// What went wrong, for a failure's INFO.
inline std::string why(rpc_result<echo::EchoReply> const& reply) {
  return reply ? "it succeeded" : reply.error().error_message();
}

}  // namespace millrace::test
