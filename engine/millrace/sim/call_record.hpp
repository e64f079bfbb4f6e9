// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/sim/client.hpp>

#include <boost/asio/cancellation_signal.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace millrace::sim {

/// A call that a world made: what came of it, and the means to cancel it.
struct call_record {
  std::uint32_t number = 0;  ///< From 1, in the order they were made.
  time_point started{};
  time_point deadline{};
  std::optional<time_point> finished{};
  std::optional<call_result> result{};
  call_info info{};
  std::uint32_t times_finished = 0;
  boost::asio::cancellation_signal cancellation{};

  bool done() const noexcept { return result.has_value(); }
  bool ok() const noexcept { return done() && result->has_value(); }

  /// These need a call that is done.
  status_code code() const { return result->has_value() ? status_code::ok : result->error().code; }
  std::string text() const { return *result ? **result : result->error().message; }
  duration took() const { return *finished - started; }

  void cancel(boost::asio::cancellation_type how) { cancellation.emit(how); }
};

}  // namespace millrace::sim
