// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/intercept/hook.hpp>
#include <millrace/intercept/hook_arguments.hpp>
#include <millrace/intercept/hook_result.hpp>

#include <concepts>

namespace millrace::impl {

/// Whether `T` has the member function of the hook, with the parameters and the result that class interceptor gives it.
template <hook Hook, class T>
consteval bool has_hook() {
  if constexpr (Hook == hook::start) {
    return requires(T & one, call_context & context) {
      { one.on_start(context) } -> std::same_as<hook_result>;
    };
  } else if constexpr (Hook == hook::send_message) {
    return requires(T & one, call_context & context, message const& payload) {
      { one.on_send_message(context, payload) } -> std::same_as<hook_result>;
    };
  } else if constexpr (Hook == hook::initial_metadata) {
    return requires(T & one, call_context & context, metadata_view headers) {
      { one.on_initial_metadata(context, headers) } -> std::same_as<hook_result>;
    };
  } else if constexpr (Hook == hook::recv_message) {
    return requires(T & one, call_context & context, message const& payload) {
      { one.on_recv_message(context, payload) } -> std::same_as<hook_result>;
    };
  } else {
    return requires(T & one, call_context & context, status const& outcome) {
      { one.on_done(context, outcome) } -> std::same_as<hook_result>;
    };
  }
}

/// The hooks of `T`.
template <class T>
consteval hook_set hooks_of() {
  hook_set set;
  if (has_hook<hook::start, T>()) set |= {hook::start};
  if (has_hook<hook::send_message, T>()) set |= {hook::send_message};
  if (has_hook<hook::initial_metadata, T>()) set |= {hook::initial_metadata};
  if (has_hook<hook::recv_message, T>()) set |= {hook::recv_message};
  if (has_hook<hook::done, T>()) set |= {hook::done};
  return set;
}

/// False when `T` has a member of a hook's name that cannot be called as one: it would be skipped in silence.
template <class T>
consteval bool hooks_fit() {
  return (!requires { &T::on_start; } || has_hook<hook::start, T>()) &&
         (!requires { &T::on_send_message; } || has_hook<hook::send_message, T>()) &&
         (!requires { &T::on_initial_metadata; } || has_hook<hook::initial_metadata, T>()) &&
         (!requires { &T::on_recv_message; } || has_hook<hook::recv_message, T>()) &&
         (!requires { &T::on_done; } || has_hook<hook::done, T>());
}

/// `finish(INTERNAL "interceptor threw: …")` for the exception being handled.
hook_result result_of_exception() noexcept;

/// Runs one hook of one interceptor.
template <hook Hook, class T>
hook_result invoke_hook(T& one, hook_arguments const& with) noexcept {
  try {
    if constexpr (Hook == hook::start) return one.on_start(*with.context);
    if constexpr (Hook == hook::send_message) return one.on_send_message(*with.context, *with.payload);
    if constexpr (Hook == hook::initial_metadata) return one.on_initial_metadata(*with.context, with.headers);
    if constexpr (Hook == hook::recv_message) return one.on_recv_message(*with.context, *with.payload);
    if constexpr (Hook == hook::done) return one.on_done(*with.context, *with.outcome);
  } catch (...) {
    return result_of_exception();
  }
}

}  // namespace millrace::impl
