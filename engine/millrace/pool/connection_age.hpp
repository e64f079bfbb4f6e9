// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <chrono>
#include <cstdint>
#include <optional>

namespace millrace {

class rng;

/// Learns how old a server lets connections become (MAX_CONNECTION_AGE, gRFC A9: each ages ± 10 %), so that they can be replaced
/// before they end instead of ending together in the middle of the work.
///
/// Three ends in a row that could be of one age are believed. What follows from them is the age that no connection ends before:
/// of ends within ± 10 % the latest one, times 0.9 / 1.1. A connection is to be replaced at 80 to 97 % of that, at random, so that
/// those made together are not replaced together. One in sixteen is let live a quarter longer than any can: if it does, or if
/// any connection does, the age is not what it was, and is learned anew. When it became less, three ends tell. Ends at one
/// moment, within a hundredth of the lifetime, count once: they are a server's restart rather than an age.
///
/// One a pool, not one an endpoint: the age is the configuration of a service, the same on all its servers, and three ends come
/// soon over all endpoints, where each endpoint alone may need three ages to show as many. Where the ages differ, the least one
/// is learned, and forgotten as soon as a connection outlives it.
class connection_age {
 public:
  /// Ages below `shortest` are not learned: replacing would be all that the pool does.
  explicit connection_age(duration shortest = std::chrono::seconds(1)) noexcept : shortest_(shortest) {}

  /// A connection ended at `now` that was ready for `lifetime`. `server_closed`: by the server and in order (a GOAWAY), not by
  /// an error and not by the pool. Servers that close idle connections look the same: of one that carried no calls tell false.
  void observed_end(time_point now, duration lifetime, bool server_closed) noexcept;

  /// At what age a new connection is to be replaced; none while nothing is known. Another one each time.
  std::optional<duration> replace_after(rng& random) const noexcept;

  /// The age that no connection ends before, as far as is known.
  std::optional<duration> earliest_end() const noexcept;

 private:
  duration shortest_;
  duration run_least_{};  // of the ends in a row that could be of one age
  duration run_most_{};
  std::uint32_t run_ = 0;  // how many those are
  time_point counted_{};   // when the last of them was
  duration latest_{};      // the latest end of the age that is believed; zero: none is
};

}  // namespace millrace
