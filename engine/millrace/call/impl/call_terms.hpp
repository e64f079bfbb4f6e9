// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/errc.hpp>
#include <millrace/base/message.hpp>
#include <millrace/base/metadata_view.hpp>
#include <millrace/base/status.hpp>
#include <millrace/call/call_machine.hpp>
#include <millrace/call/options.hpp>
#include <millrace/time/clock.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace {

class client_core;
struct method_config;

}  // namespace millrace

// what the drivers of unary calls and of streams have in common
namespace millrace::impl {

/// As gRPC has it: the least of what the call and what its method's settings ask for; `otherwise` if neither has a timeout.
time_point deadline_of(time_point now, method_config const* config, call_options const& options,
                       duration otherwise) noexcept;

bool waits_for_ready(method_config const* config, call_options const& options) noexcept;

retry::retry_policy const& retry_of(client_core const& client, method_config const* config,
                                    call_options const& options) noexcept;

inline bool exceeds(message const& one, std::optional<std::uint32_t> most) noexcept {
  return most && one.size() > *most;
}

/// In gRPC's words.
status oversized(char const* verb, message const& one, std::uint32_t most);

status illegal_metadata();

/// Of a call's own policy; none: it may be used.
std::optional<status> why_illegal(retry::retry_policy const& policy);

/// A copy, for call_info.
metadata_pairs kept(metadata_view from);

/// Of a call whose deadline had passed when it started.
status late_already();

/// For a call that ended so; not for those that bring a status: an attempt's, an interceptor's, or of a malformed one.
status status_of(call_end why, client_core& client, std::uint32_t attempts, error_code refusal);

}  // namespace millrace::impl
