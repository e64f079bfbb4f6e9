// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>

namespace millrace {

/// An RPC's outcome, numbered as gRPC numbers it (doc/statuscodes.md).
enum class status_code : std::uint8_t {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  already_exists = 6,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  aborted = 10,
  out_of_range = 11,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  data_loss = 15,
  unauthenticated = 16,
};

inline constexpr int status_code_count = 17;

/// The name gRPC gives it: `DEADLINE_EXCEEDED`.
std::string_view to_string(status_code value) noexcept;

/// The code of a name (`UNAVAILABLE`, any case) or of a number (`14`); none when there is no such code.
std::optional<status_code> status_code_from(std::string_view text) noexcept;

/// A set of codes, as a retry policy lists them.
class status_code_set {
 public:
  constexpr status_code_set() noexcept = default;
  constexpr status_code_set(std::initializer_list<status_code> codes) noexcept {
    for (status_code code : codes) bits_ |= bit(code);
  }

  constexpr void insert(status_code code) noexcept { bits_ |= bit(code); }
  constexpr bool contains(status_code code) const noexcept { return (bits_ & bit(code)) != 0; }
  constexpr bool empty() const noexcept { return bits_ == 0; }
  friend constexpr bool operator==(status_code_set, status_code_set) noexcept = default;

 private:
  static constexpr std::uint32_t bit(status_code code) noexcept { return 1u << static_cast<unsigned>(code); }

  std::uint32_t bits_ = 0;
};

/// What servers in trouble answer, or what is answered for them: nothing came back in time, or they failed at what they should be
/// able to do. The default of what counts against an endpoint. gRFC A50 counts everything but OK, so that one caller's bad
/// requests may eject a server.
///
/// CANCELLED says nothing about the server, for it or against it: it should not be counted at all.
inline constexpr status_code_set server_failures{status_code::unknown, status_code::deadline_exceeded,
                                                 status_code::internal, status_code::unavailable,
                                                 status_code::data_loss};

/// What servers answer that are well but refuse the call. To prefer one because it refuses quickly would be wrong, and so would be
/// to take it away: its load would fall on the others, and a method that it lacks would cost those that it has.
inline constexpr status_code_set server_refusals{status_code::resource_exhausted, status_code::unimplemented};

}  // namespace millrace
