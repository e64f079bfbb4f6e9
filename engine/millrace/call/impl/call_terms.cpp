// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/impl/call_terms.hpp>

#include <millrace/call/client_core.hpp>
#include <millrace/call/options.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>

namespace millrace::impl {

time_point deadline_of(time_point now, method_config const* config, call_options const& options,
                       duration otherwise) noexcept {
  duration timeout = options.timeout > duration::zero() ? options.timeout : otherwise;
  if (config != nullptr && config->timeout) {
    timeout = options.timeout > duration::zero() ? std::min(options.timeout, *config->timeout) : *config->timeout;
  }
  return std::min(saturating_add(now, timeout), options.deadline);
}

bool waits_for_ready(method_config const* config, call_options const& options) noexcept {
  return options.wait_for_ready.value_or(config != nullptr && config->wait_for_ready.value_or(false));
}

retry::retry_policy const& retry_of(client_core const& client, method_config const* config,
                                    call_options const& options) noexcept {
  if (options.retry != nullptr) return *options.retry;
  return config != nullptr && config->retry ? *config->retry : client.params().retry;
}

status oversized(char const* verb, message const& one, std::uint32_t most) {
  return {status_code::resource_exhausted,
          std::string(verb) + " message larger than max (" + std::to_string(one.size()) + " vs. " +
              std::to_string(most) + ")",
          {}};
}

metadata_pairs kept(metadata_view from) {
  metadata_pairs all;
  for (std::size_t at = 0; at < from.size(); ++at) all.emplace_back(from[at].key, from[at].value);
  return all;
}

status late_already() { return {status_code::deadline_exceeded, "Deadline Exceeded before the call started", {}}; }

status illegal_metadata() {
  return {
      status_code::invalid_argument,
      "call_options.metadata: keys are lower case, not gRPC's own; values are printable unless the key ends in -bin",
      {}};
}

std::optional<status> why_illegal(retry::retry_policy const& policy) try {
  retry::validate(policy, "call_options.retry");
  return std::nullopt;
} catch (std::invalid_argument const& error) {
  return status{status_code::invalid_argument, error.what(), {}};
}

namespace {

status not_admitted(client_core& client, error_code refusal) {
  if (refusal == make_error_code(errc::queue_full) || refusal == make_error_code(errc::waited_too_long))
    return {status_code::resource_exhausted, refusal.message(), {}};
  if (refusal == make_error_code(errc::no_endpoint_ready) && client.pool() != nullptr) {
    return {status_code::unavailable, client.pool()->why_not_ready(), {}};
  }
  return {status_code::unavailable, refusal.message(), {}};
}

status out_of_time(client_core& client, std::uint32_t attempts) {
  std::string text = "Deadline Exceeded";
  if (attempts == 0) {
    text += " before a slot was free";
    if (client.pool() != nullptr && client.pool()->ready() == 0) text += ": " + client.pool()->why_not_ready();
  }
  return {status_code::deadline_exceeded, std::move(text), {}};
}

}  // namespace

status status_of(call_end why, client_core& client, std::uint32_t attempts, error_code refusal) {
  switch (why) {
    case call_end::not_admitted: return not_admitted(client, refusal);
    case call_end::deadline: return out_of_time(client, attempts);
    case call_end::cancelled: return {status_code::cancelled, "cancelled by the caller", {}};
    case call_end::revoked:
      return {
          status_code::unavailable, "the pool was closed, or the endpoint taken out, while the call was under way", {}};
    case call_end::attempt:
    case call_end::intercepted:
    case call_end::malformed: break;
  }
  return {status_code::internal, "no outcome", {}};
}

}  // namespace millrace::impl
