// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/intercept/impl/invoke_hook.hpp>
#include <millrace/intercept/interceptor.hpp>
#include <millrace/intercept/interceptor_chain.hpp>

#include <concepts>
#include <cstddef>
#include <tuple>
#include <utility>

namespace millrace {

/// Interceptors chosen at compile time and held by value: `static_chain chain{deadline_cap{}, audit{log}};`. Each is any class
/// with one or more of class interceptor's hooks as member functions, virtual or not; a hook that it lacks costs nothing. The
/// first one is the outermost: it sees a call first and its end last.
template <class... Interceptors>
class static_chain {
  static_assert((!impl::hooks_of<Interceptors>().empty() && ...), "an interceptor has no hook");
  static_assert((impl::hooks_fit<Interceptors>() && ...),
                "a hook has other parameters or another result than class interceptor gives it");

 public:
  static_chain() requires(sizeof...(Interceptors) > 0 && (std::default_initializable<Interceptors> && ...)) = default;
  explicit static_chain(Interceptors... interceptors) : members_(std::move(interceptors)...) {}

  static constexpr std::size_t size() noexcept { return sizeof...(Interceptors); }

  hook_set hooks() const noexcept {
    hook_set set;
    std::apply([&set](auto const&... one) { ((set |= hooks_of(one)), ...); }, members_);
    return set;
  }

  /// See interceptor_chain.
  stage_outcome run(hook which, hook_arguments const& with, std::size_t from) noexcept {
    switch (which) {
      case hook::start: return run_stage<hook::start>(with, from, positions{});
      case hook::send_message: return run_stage<hook::send_message>(with, from, positions{});
      case hook::initial_metadata: return run_stage<hook::initial_metadata>(with, from, positions{});
      case hook::recv_message: return run_stage<hook::recv_message>(with, from, positions{});
      case hook::done: return run_stage<hook::done>(with, from, positions{});
    }
    return {};
  }

  /// The interceptor of that type, which is in the chain once.
  template <class Interceptor>
  Interceptor& get() noexcept {
    return std::get<Interceptor>(members_);
  }

 private:
  using positions = std::index_sequence_for<Interceptors...>;

  // one of class interceptor's heirs has all five, and says itself which matter
  template <class Interceptor>
  static hook_set hooks_of(Interceptor const& one) noexcept {
    if constexpr (std::derived_from<Interceptor, interceptor>) return one.hooks();
    return impl::hooks_of<Interceptor>();
  }

  template <hook Hook, std::size_t... At>
  stage_outcome run_stage([[maybe_unused]] hook_arguments const& with, [[maybe_unused]] std::size_t from,
                          std::index_sequence<At...>) noexcept {
    stage_outcome outcome;
    (void)(... && step<Hook, At>(with, from, outcome));
    return outcome;
  }

  // false when the stage stops here
  template <hook Hook, std::size_t At>
  bool step(hook_arguments const& with, std::size_t from, stage_outcome& outcome) noexcept {
    auto& one = std::get < runs_in_reverse(Hook) ? size() - 1 - At : At > (members_);
    if constexpr (impl::has_hook<Hook, std::remove_reference_t<decltype(one)>>()) {
      if (At < from) return true;
      outcome = {impl::invoke_hook<Hook>(one, with), At};
    }
    return outcome.passed();
  }

  std::tuple<Interceptors...> members_;
};

static_assert(interceptor_chain<static_chain<>>);

}  // namespace millrace
