// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/status_code.hpp>
#include <millrace/sim/answer.hpp>
#include <millrace/time/clock.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace millrace::sim {

/// What an endpoint does with an attempt of a stream. It answers a bidi stream's messages each with the same, a client stream's
/// with all of them joined, and sends a server stream `messages`, `<endpoint>: <n>`.
struct stream_answer {
  std::uint32_t messages = 0;
  /// Its headers come so late.
  duration begins_after{};
  /// How long a message takes, either way.
  duration takes{};
  /// It ends the stream when it has received so many messages; none: when the client has half-closed.
  std::optional<std::uint32_t> ends_after{};
  /// It takes so many messages, and lets later ones wait for ever; none: all.
  std::optional<std::uint32_t> takes_messages{};
  /// It never ends the stream, nor answers it.
  bool silent = false;
  /// How long a stream that was cut off is still being written, as to a peer that reads nothing. It comes back afterwards.
  duration stuck{};
  status_code code = status_code::ok;
  std::string message{};
  /// It ends at once, without headers.
  bool trailers_only = false;
  /// The attempt fails without having reached the endpoint.
  bool never_left = false;
  answer::pairs headers{};
  answer::pairs trailers{};
};

}  // namespace millrace::sim
