// SPDX-License-Identifier: Apache-2.0
// The parameters. A further one is a member with a default, a row here and a row in docs/reference/parameters.md; the tests find
// what is missing.
#pragma once

#include <millrace/balance/any_picker.hpp>
#include <millrace/call/options.hpp>
#include <millrace/config/impl/rows.hpp>
#include <millrace/pool/params.hpp>

#include <chrono>
#include <cstdint>

namespace millrace::config::impl {

template <>
struct values_of<transparent_retry> {
  static constexpr transparent_retry values[] = {transparent_retry::engine, transparent_retry::core};
};

template <>
struct table<retry::backoff_params> {
  using p = retry::backoff_params;
  static constexpr std::tuple rows{
      row("initial", &p::initial, positive),
      row("multiplier", &p::multiplier, at_least(1)),
      row("max", &p::max, positive),
      row("jitter", &p::jitter, between(0, 1)),
  };
};

template <>
struct table<retry::budget_params> {
  using p = retry::budget_params;
  static constexpr std::tuple rows{
      row("percent", &p::percent, between(0, 1000)),
      row("min_per_second", &p::min_per_second, at_least(0)),
      row("ttl", &p::ttl, between(duration(std::chrono::seconds(1)), duration(std::chrono::seconds(60)))),
  };
};

template <>
struct table<retry::retry_policy> {
  using p = retry::retry_policy;
  static constexpr std::tuple rows{
      row("max_attempts", &p::max_attempts, between(1, 5)),
      row("initial_backoff", &p::initial_backoff, positive),
      row("max_backoff", &p::max_backoff, positive),
      row("multiplier", &p::multiplier, at_least(1)),
      row("jitter", &p::jitter, between(0, 1)),
      row("retryable", &p::retryable),
      row("per_attempt_timeout", &p::per_attempt_timeout),
  };
  static constexpr std::tuple code_rows{code_row("rule", &p::rule)};
};

template <>
struct table<retry::hedging_policy> {
  using p = retry::hedging_policy;
  static constexpr std::tuple rows{
      row("max_attempts", &p::max_attempts, between(2, 5)),
      row("delay", &p::delay, at_least(0)),
      row("percentile", &p::percentile, bounds{.least = 0, .most = 100, .above = true}),
      row("min_data_points", &p::min_data_points, at_least(1)),
      row("window", &p::window, positive),
      row("refresh_interval", &p::refresh_interval, positive),
      row("min_delay", &p::min_delay, positive),
      row("non_fatal", &p::non_fatal),
      row("max_extra_load", &p::max_extra_load, between(0, 1)),
      row("min_per_second", &p::min_per_second, at_least(0)),
  };
};

template <>
struct table<retry::throttle_params> {
  using p = retry::throttle_params;
  static constexpr std::tuple rows{
      row("max_tokens", &p::max_tokens, between(1, 1000)),
      row("token_ratio", &p::token_ratio, at_least(0.001)),
  };
};

template <>
struct table<slot_params> {
  using p = slot_params;
  static constexpr std::tuple rows{
      row("backoff", &p::backoff),
      row("dial_timeout", &p::dial_timeout, positive),
      row("proven_after", &p::proven_after, positive),
      row("watch_slice", &p::watch_slice, positive),
      row("ready_watch_slice", &p::ready_watch_slice, positive),
  };
};

template <>
struct table<cork_params> {
  using p = cork_params;
  static constexpr std::tuple rows{
      row("min_in_flight", &p::min_in_flight),
      row("flush_every", &p::flush_every, at_least(1)),
  };
};

template <>
struct table<balance::failover_params> {
  using p = balance::failover_params;
  static constexpr std::tuple rows{
      row("initial_timeout", &p::initial_timeout),
      row("recovery_timeout", &p::recovery_timeout),
      row("switching_delay", &p::switching_delay),
  };
};

template <>
struct table<balance::dial_order_params> {
  using p = balance::dial_order_params;
  static constexpr std::tuple rows{
      row("attempt_delay", &p::attempt_delay, at_least(duration(std::chrono::milliseconds(10)))),
  };
};

template <>
struct table<balance::slow_start_params> {
  using p = balance::slow_start_params;
  static constexpr std::tuple rows{
      row("window", &p::window),
      row("aggression", &p::aggression, positive),
      row("min_weight", &p::min_weight, bounds{.least = 0, .most = 1, .above = true}),
  };
};

template <>
struct table<balance::aperture_params> {
  using p = balance::aperture_params;
  static constexpr std::tuple rows{
      row("size", &p::size),
      row("client_index", &p::client_index),
      row("clients", &p::clients),
  };
};

template <>
struct table<health::accrual_params> {
  using p = health::accrual_params;
  static constexpr std::tuple rows{
      row("consecutive_failures", &p::consecutive_failures),
      row("success_rate", &p::success_rate, between(0, 1)),
      row("window", &p::window, at_least(duration(std::chrono::milliseconds(1)))),
      row("min_volume", &p::min_volume, at_least(1)),
      row("base_ejection", &p::base_ejection, positive),
      row("max_ejection", &p::max_ejection, positive),
  };
};

template <>
struct table<health::success_rate_params> {
  using p = health::success_rate_params;
  static constexpr std::tuple rows{
      row("stdev_factor", &p::stdev_factor),
      row("enforcement", &p::enforcement, between(0, 100)),
      row("minimum_hosts", &p::minimum_hosts),
      row("request_volume", &p::request_volume, at_least(1)),
  };
};

template <>
struct table<health::failure_percentage_params> {
  using p = health::failure_percentage_params;
  static constexpr std::tuple rows{
      row("threshold", &p::threshold, between(0, 100)),
      row("enforcement", &p::enforcement, between(0, 100)),
      row("minimum_hosts", &p::minimum_hosts),
      row("request_volume", &p::request_volume, at_least(1)),
  };
};

template <>
struct table<health::outlier_params> {
  using p = health::outlier_params;
  static constexpr std::tuple rows{
      row("interval", &p::interval, positive),
      row("base_ejection_time", &p::base_ejection_time, positive),
      row("max_ejection_time", &p::max_ejection_time, positive),
      row("max_ejection_percent", &p::max_ejection_percent, between(0, 100)),
      row("success_rate", &p::success_rate),
      row("failure_percentage", &p::failure_percentage),
  };
};

template <>
struct table<health::watch_params> {
  using p = health::watch_params;
  static constexpr std::tuple rows{
      row("service", &p::service),
      row("use_check", &p::use_check),
      row("initial_timeout", &p::initial_timeout, positive),
      row("check_interval", &p::check_interval, positive),
      row("check_timeout", &p::check_timeout, positive),
      row("backoff", &p::backoff),
  };
};

template <>
struct table<scaling_params> {
  using p = scaling_params;
  static constexpr std::tuple rows{
      row("grow_at", &p::grow_at),
      row("grow_when_slower", &p::grow_when_slower, at_least(0)),
      row("grow_interval", &p::grow_interval, positive),
      row("shrink_interval", &p::shrink_interval, positive),
      row("shrink_after", &p::shrink_after),
      row("shrink_below", &p::shrink_below, bounds{.least = 0, .most = 1, .above = true}),
  };
};

template <>
struct table<keepalive_params> {
  using p = keepalive_params;
  static constexpr std::tuple rows{
      row("time", &p::time),
      row("timeout", &p::timeout, positive),
      row("without_calls", &p::without_calls),
  };
};

template <>
struct table<rotation_params> {
  using p = rotation_params;
  static constexpr std::tuple rows{
      row("spread", &p::spread),
      row("backoff", &p::backoff),
  };
};

template <>
struct table<responsiveness_params> {
  using p = responsiveness_params;
  static constexpr std::tuple rows{
      row("calls", &p::calls),
      row("after", &p::after, positive),
  };
};

template <>
struct table<concurrency_limit_params> {
  using p = concurrency_limit_params;
  static constexpr std::tuple rows{
      row("initial", &p::initial, at_least(1)),
      row("min", &p::min, at_least(1)),
      row("max", &p::max, at_least(1)),
      row("sample_window", &p::sample_window, positive),
      row("min_samples", &p::min_samples, at_least(1)),
      row("tolerance", &p::tolerance, at_least(0)),
      row("remeasure_interval", &p::remeasure_interval, positive),
  };
};

template <>
struct table<dns_params> {
  using p = dns_params;
  static constexpr std::tuple rows{
      row("refresh_interval", &p::refresh_interval, positive),
      row("jitter", &p::jitter, between(0, 1)),
      row("evidence", &p::evidence),
      row("backoff", &p::backoff),
  };
};

template <>
struct table<file_params> {
  using p = file_params;
  static constexpr std::tuple rows{
      row("settle_interval", &p::settle_interval, positive),
      row("poll_interval", &p::poll_interval, positive),
  };
};

template <>
struct table<pool_params> {
  using p = pool_params;
  static constexpr std::tuple rows{
      row("target", &p::target),
      row("dns", &p::dns),
      row("file", &p::file),
      row("min_slots", &p::min_slots, between(0, 100'000)),
      row("max_slots", &p::max_slots, between(0, 100'000)),
      row("max_calls_per_slot", &p::max_calls_per_slot, at_least(1)),
      row("max_in_flight", &p::max_in_flight),
      row("max_waiting", &p::max_waiting),
      row("max_wait", &p::max_wait),
      row("balance", &p::balance, &balance::policy_names),
      row("panic_threshold", &p::panic_threshold, between(0, 1)),
      row("failover", &p::failover),
      row("dial_order", &p::dial_order),
      row("slow_start", &p::slow_start),
      row("aperture", &p::aperture),
      row("accrual", &p::accrual),
      row("outlier", &p::outlier),
      row("health_check", &p::health_check),
      row("scaling", &p::scaling),
      row("rotation", &p::rotation),
      row("responsiveness", &p::responsiveness),
      row("failure_codes", &p::failure_codes),
      row("concurrency_limit", &p::concurrency_limit),
      row("slot", &p::slot),
      row("keepalive", &p::keepalive),
      row("budget", &p::budget),
      row("max_response_bytes", &p::max_response_bytes),
      row("max_request_bytes", &p::max_request_bytes),
      row("minimal_stack", &p::minimal_stack),
      row("transparent_retry", &p::transparent_retry),
      row("stub_calls", &p::stub_calls),
      row("cork", &p::cork),
      row("cork_rule", &p::cork_rule),
  };
  static constexpr std::tuple code_rows{
      code_row("make_lookup", &p::make_lookup),   code_row("make_resolver", &p::make_resolver),
      code_row("make_picker", &p::make_picker),   code_row("credentials", &p::credentials),
      code_row("channel_args", &p::channel_args), code_row("observer", &p::observer),
  };
};

template <>
struct table<client_params> {
  using p = client_params;
  static constexpr std::tuple rows{
      row("default_timeout", &p::default_timeout, positive),
      row("default_stream_timeout", &p::default_stream_timeout, at_least(0)),
      row("retry", &p::retry),
      row("hedging", &p::hedging),
      row("idempotent", &p::idempotent),
      row("retry_throttling", &p::retry_throttling),
      row("hash_header", &p::hash_header),
  };
  static constexpr std::tuple code_rows{
      code_row("methods", &p::methods),
      code_row("interceptors", &p::interceptors),
      code_row("observer", &p::observer),
  };
};

}  // namespace millrace::config::impl
