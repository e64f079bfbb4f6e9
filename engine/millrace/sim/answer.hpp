// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/metadata_view.hpp>
#include <millrace/base/status_code.hpp>
#include <millrace/time/clock.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace millrace::sim {

/// What an endpoint says to an attempt.
struct answer {
  using pairs = std::vector<std::pair<std::string, std::string>>;

  status_code code = status_code::ok;
  std::string message{};
  /// The response; without one, `<endpoint>: <request>`.
  std::optional<std::string> body{};
  /// How long it takes; without it, the endpoint's call latency. `duration::max()`: it never answers.
  std::optional<duration> after{};
  /// The value of the trailer `grpc-retry-pushback-ms`.
  std::optional<std::string> pushback{};
  /// Response headers arrive before the failure.
  bool committed = false;
  /// The attempt fails without having reached the endpoint.
  bool never_left = false;
  pairs headers{};
  pairs trailers{};
  /// How long an attempt that was cut off is still being written, as to a peer that reads nothing. It comes back afterwards.
  duration stuck{};
};

/// As attempts show them. The list stays as long as the view.
inline metadata_view view(answer::pairs const& list) noexcept {
  return {&list, list.size(), [](void const* pairs, std::size_t at) noexcept -> metadata_view::entry {
            auto const& [key, value] = (*static_cast<answer::pairs const*>(pairs))[at];
            return {key, value};
          }};
}

}  // namespace millrace::sim
