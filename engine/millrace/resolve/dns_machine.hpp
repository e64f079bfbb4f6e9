// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/inplace_vector.hpp>
#include <millrace/resolve/dns_params.hpp>
#include <millrace/time/clock.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace millrace::resolve {

enum class dns_state : std::uint8_t {
  idle,     ///< Not started.
  looking,  ///< A lookup is under way.
  settled,  ///< The last one succeeded; the next is due when the answer is old.
  hinted,   ///< The same, and it may be wrong: the next is due as soon as the pace allows.
  failing,  ///< The last one failed; the next is due when the backoff is over.
};

constexpr std::string_view to_string(dns_state state) noexcept {
  switch (state) {
    case dns_state::idle: return "idle";
    case dns_state::looking: return "looking";
    case dns_state::settled: return "settled";
    case dns_state::hinted: return "hinted";
    case dns_state::failing: return "failing";
  }
  return "?";
}

namespace dns_event {

struct start {};
struct answered {
  std::span<std::string const> addresses;  ///< None is a failure: no service means to have no servers.
  bool changed;                            ///< They are not those published last.
};
struct failed {
  std::string_view why;
};
struct hint {};     ///< What is published may be wrong.
struct elapsed {};  ///< The armed timer fell due.

}  // namespace dns_event

/// What happens to a lookup.
struct dns_event_at {
  time_point now;
  std::variant<dns_event::start, dns_event::answered, dns_event::failed, dns_event::hint, dns_event::elapsed> what;
};

namespace dns_action {

struct look_up {};  ///< Answered by answered or failed.
struct arm {
  time_point at;
};
struct publish {
  std::span<std::string const> addresses;
};
struct report {
  std::string_view why;
};

}  // namespace dns_action

using dns_action_any = std::variant<dns_action::look_up, dns_action::arm, dns_action::publish, dns_action::report>;
using dns_actions = inplace_vector<dns_action_any, 2>;

/// Decides when a name is looked up, and which answers are news. An answer that follows a failure is news even when it is the
/// old one: whoever was told of the failure learns that it is over.
///
/// | | `start` | `answered`, `failed` | `hint` | `elapsed` |
/// |---|---|---|---|---|
/// | `idle` | looking | | | |
/// | `looking` | | settled or failing | | |
/// | `settled` | | | looking or hinted | looking |
/// | `hinted` | | | | looking |
/// | `failing` | | | | looking |
class dns_machine {
 public:
  dns_machine(dns_params const& params, rng& random) noexcept;

  /// Never calls out; the driver performs the actions in order. The spans and views in them are the event's.
  dns_actions step(dns_event_at const& event) noexcept;

  dns_state state() const noexcept { return state_; }

 private:
  dns_actions on(time_point now, dns_event::start) noexcept;
  dns_actions on(time_point now, dns_event::answered) noexcept;
  dns_actions on(time_point now, dns_event::failed) noexcept;
  dns_actions on(time_point now, dns_event::hint) noexcept;
  dns_actions on(time_point now, dns_event::elapsed) noexcept;

  dns_actions look_up(bool on_evidence) noexcept;

  rng& random_;
  retry::backoff refresh_;  // of one length
  retry::backoff evidence_;
  retry::backoff backoff_;
  dns_state state_ = dns_state::idle;
  bool on_evidence_ = false;    // why the lookup under way was started
  bool failed_ = false;         // the listener was told so last
  time_point refresh_at_{};     // when the last answer is old
  time_point evidence_from_{};  // evidence before this waits
};

}  // namespace millrace::resolve
