// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string_view>

namespace millrace {

/// When a connection that is up but does not answer is replaced.
struct responsiveness_params {
  /// Calls in a row that ran into their deadline. 0: never.
  std::uint32_t calls = 3;
  /// And so long without any response. More than 0. By 3 s TCP has sent a lost segment five times (at 0, 0.2, 0.6, 1.4 and 3 s),
  /// and a collection of garbage or a failover is mostly over; keepalive takes 40 s at 30 s / 10 s, and TCP alone 15 min.
  duration after = std::chrono::seconds(3);
};

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(responsiveness_params const& params, std::string_view field_prefix);

/// Whether the peer of one slot still responds (grpc-gcp's rule): not if `calls` calls that were started after its last
/// response ran into their deadline, and it is more than `after` × 2^n since then, where n is how often the connection was
/// replaced in vain. A server that is merely slow is thus dialed less and less often.
class responsiveness {
 public:
  /// Connected at `now`, which counts as a response. Expects validated params; they outlive this.
  responsiveness(responsiveness_params const& params, time_point now) noexcept
      : params_(&params), last_response_(now) {}

  /// The peer said anything about a call: its end, whatever the status, or headers, or a message.
  void on_response(time_point now) noexcept {
    last_response_ = now;
    missed_ = 0;
    replacements_ = 0;
  }

  /// A call that was started at `started` ended by its deadline on this side, and its server had not said anything of it. True when
  /// the connection is to be replaced; so again at the next one, until it is.
  bool on_deadline(time_point now, time_point started) noexcept {
    // the connection has worked since: it was this call that was slow
    if (started < last_response_ || params_->calls == 0) return false;
    ++missed_;
    return missed_ >= params_->calls && now - last_response_ > window();
  }

  /// A new connection, made at `now`, took the place of the one that did not respond.
  void on_replaced(time_point now) noexcept {
    last_response_ = now;
    missed_ = 0;
    replacements_ = std::min(replacements_ + 1, most_doublings);
  }

 private:
  static constexpr std::uint32_t most_doublings = 10;

  duration window() const noexcept {
    int const doubled = 1 << replacements_;
    return params_->after > duration::max() / doubled ? duration::max() : params_->after * doubled;
  }

  responsiveness_params const* params_;
  time_point last_response_;
  std::uint32_t missed_ = 0;
  std::uint32_t replacements_ = 0;  // since the last response
};

}  // namespace millrace
