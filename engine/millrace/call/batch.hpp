// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>

#include <concepts>
#include <cstddef>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

namespace millrace {

/// Several calls at once. What is given are operations that have not started, as `async_call` without a token makes them; what
/// is returned is one more, which starts them all and completes when they have. Cancelling it cancels them.
///
///     auto const [user, cart] = co_await async_all(users.async_call<…>(a), carts.async_call<…>(b));
///
/// Signature `void(std::tuple<rpc_result<A>, rpc_result<B>, …>)`. A call that fails does not end the others.
template <class... Operations>
[[nodiscard]] auto async_all(Operations... operations) {
  using namespace boost::asio;
  return experimental::make_parallel_group(std::move(operations)...)
      .async_wait(experimental::wait_for_all(), deferred([](auto const& /*order*/, auto... results) {
                    return deferred.values(std::make_tuple(std::move(results)...));
                  }));
}

/// The same for any number of calls of one type; the results are in the order of the calls. Not for an empty vector, which
/// Asio's parallel_group refuses. Signature `void(std::vector<rpc_result<T>>)`.
template <class Operation>
[[nodiscard]] auto async_all(std::vector<Operation> operations) {
  using namespace boost::asio;
  return experimental::make_parallel_group(std::move(operations))
      .async_wait(experimental::wait_for_all(),
                  deferred([](auto const& /*order*/, auto results) { return deferred.values(std::move(results)); }));
}

/// What async_any ends with.
template <class Result>
struct any_outcome {
  /// The call that succeeded first; none when all failed.
  std::optional<std::size_t> winner{};
  /// Of every call, in their order. Those that the winner made superfluous are CANCELLED, unless they had ended before.
  std::vector<Result> results{};
};

namespace detail {

/// Stops a parallel_group at the first result that is a success.
struct first_success {
  template <class Result>
  boost::asio::cancellation_type operator()(Result const& result) const noexcept {
    using boost::asio::cancellation_type;
    return result.has_value() ? cancellation_type::all : cancellation_type::none;
  }
};

}  // namespace detail

/// The first of several calls of one type that succeeds; the others are then cut off. For a value that several services have;
/// to repeat one call when it is slow, let its client hedge. Not for an empty vector. Signature
/// `void(any_outcome<rpc_result<T>>)`.
template <class Operation>
[[nodiscard]] auto async_any(std::vector<Operation> operations) {
  using namespace boost::asio;
  return experimental::make_parallel_group(std::move(operations))
      .async_wait(detail::first_success(), deferred([](auto const& order, auto results) {
                    any_outcome<typename decltype(results)::value_type> outcome{.results = std::move(results)};
                    for (std::size_t const at : order) {
                      if (!outcome.winner && outcome.results[at].has_value()) outcome.winner = at;
                    }
                    return deferred.values(std::move(outcome));
                  }));
}

/// The same for calls that are named one by one.
template <class Operation, std::same_as<Operation>... More>
[[nodiscard]] auto async_any(Operation first, More... more) {
  std::vector<Operation> all;
  all.reserve(1 + sizeof...(more));
  all.push_back(std::move(first));
  (all.push_back(std::move(more)), ...);
  return async_any(std::move(all));
}

}  // namespace millrace
