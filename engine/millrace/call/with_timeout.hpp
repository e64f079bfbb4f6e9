// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/errc.hpp>
#include <millrace/base/status.hpp>
#include <millrace/call/result.hpp>
#include <millrace/loop/steady_timer.hpp>
#include <millrace/time/clock.hpp>

#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <tuple>
#include <utility>

namespace millrace {

namespace detail {

// what an operation that failed because its time was over says instead

inline void say_timed_out(boost::system::error_code& how) {
  if (how) how = make_error_code(errc::timed_out);
}

inline void say_timed_out(status& how) {
  if (!how.ok()) how = {status_code::deadline_exceeded, "timed out", {}};
}

inline void say_timed_out(grpc::Status& how) {
  if (!how.ok()) how = grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "timed out");
}

template <class T, class Status>
void say_timed_out(boost::system::result<T, Status>& how) {
  if (how) return;
  Status why = how.error();
  say_timed_out(why);
  how = std::move(why);
}

// its time runs from when it is started, not from when it is described; whoever describes it keeps the timer
inline auto async_elapse(steady_timer& timer, duration after) {
  return boost::asio::async_initiate<boost::asio::deferred_t const&, void(boost::system::error_code)>(
      [&timer, after](auto handler) {
        timer.expires_after(after);
        timer.async_wait(std::move(handler));
      },
      boost::asio::deferred);
}

}  // namespace detail

/// An operation that has not started, with a limit of time: `co_await with_timeout(loop, 5s, pool.async_drain(30s))`. Boost 1.81
/// has no `cancel_after`. Once `after` has passed since its start (at once for 0 or less) it is cancelled, with every type of
/// cancellation, and completes when it has noticed. An error it then ends with becomes `errc::timed_out`, or DEADLINE_EXCEEDED;
/// a success that was quicker stays one.
///
/// The first argument of the operation's signature is an error_code, an rpc_result or a grpc::Status (in the simulator: a call_result or a
/// status); so is that of what is returned, another operation that has not started. Thread: the loop's. A single call needs none of this: call_options::timeout.
template <class Operation>
[[nodiscard]] auto with_timeout(loop& on, duration after, Operation operation) {
  using namespace boost::asio;
  auto const timer = std::make_shared<steady_timer>(on);
  return experimental::make_parallel_group(std::move(operation), detail::async_elapse(*timer, after))
      .async_wait(experimental::wait_for_one(),
                  deferred([timer](std::array<std::size_t, 2> order, auto first, auto... rest) {
                    constexpr std::size_t the_timer = 1;
                    if (order.front() == the_timer) detail::say_timed_out(first);
                    return [&]<std::size_t... I>(std::index_sequence<I...>, auto&& all) {
                      return deferred.values(std::move(first), std::get<I>(std::move(all))...);
                    }
                    (std::make_index_sequence<sizeof...(rest) - 1>(), std::make_tuple(std::move(rest)...));
                  }));
}

}  // namespace millrace
