// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/event_pump.hpp>
#include <millrace/pool/outside_calls.hpp>
#include <millrace/pool/permit.hpp>
#include <millrace/pool/responsiveness.hpp>
#include <millrace/pool/slot_machine.hpp>
#include <millrace/pool/watcher.hpp>
#include <millrace/time/timer.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

class loop;
class slot;

/// What a slot needs of its pool.
class slot_host {
 public:
  /// Queues the slot for a dial to its endpoint; answered by `grant_dial`, at once or later, never from inside.
  virtual void request_dial(slot& one) = 0;
  virtual void release_dial(slot& one) noexcept = 0;
  virtual channel* open_channel(slot& one) = 0;
  virtual void on_slot_changed(slot& one, slot_state from, slot_state to, std::string_view why, duration spent) = 0;
  /// Its connection has just carried the first call that succeeded.
  virtual void on_slot_proven(slot& one) = 0;
  /// The server has said something of a call that is not over.
  virtual void on_received(slot& one) noexcept = 0;
  virtual void on_outcome(slot& one, call_outcome outcome, duration held) noexcept = 0;
  virtual void on_permit_released(slot& one) noexcept = 0;

 protected:
  ~slot_host() = default;
};

struct dial_queue_tag;

/// Drives one slot_machine: its channel, its watch, its timer and the permits on it.
class slot : public list_base<dial_queue_tag> {
 public:
  slot(loop& on, slot_host& host, slot_params const& params, std::string const& endpoint, std::uint32_t number,
       std::uint32_t endpoint_number);
  slot(slot const&) = delete;
  slot& operator=(slot const&) = delete;

  /// Permits that are still held outlive it, without a slot.
  ~slot();

  std::uint32_t number() const noexcept { return number_; }
  std::uint32_t endpoint_number() const noexcept { return endpoint_number_; }
  std::string const& endpoint() const noexcept { return endpoint_; }
  slot_state state() const noexcept { return machine_.state(); }
  std::uint32_t const& in_flight() const noexcept { return in_flight_; }

  /// Calls in flight on it, those of others included.
  std::uint32_t load() const noexcept { return in_flight_ + outside_->count(); }
  std::shared_ptr<outside_calls> const& outside() const noexcept { return outside_; }

  /// Null while it has none.
  millrace::channel* channel() const noexcept { return channel_; }

  /// Why it is not ready: the last failure, in the transport's words; empty before the first.
  std::string const& last_failure() const noexcept { return last_failure_; }
  time_point since() const noexcept { return since_; }
  std::uint32_t connections() const noexcept { return connections_; }

  /// Its present connection, or the one it has just lost, carried a call that succeeded.
  bool proven() const noexcept { return machine_.proven(); }

  std::optional<slot_redial> redial() const noexcept { return machine_.redial(); }

  /// Whether its peer still answers; set by the pool at each connection.
  std::optional<millrace::responsiveness> responsiveness;

  /// Of `connections`, the one that was closed for too many pings; and of how much silence its channel pings after. The pool's.
  std::uint32_t over_pinged = 0;
  duration keepalive_time{};

  /// On all its channels so far.
  coalescing_stats coalescing() const {
    coalescing_stats all = earlier_coalescing_;
    return channel_ != nullptr ? all += channel_->coalescing() : all;
  }
  std::string_view why_not_coalesced() const {
    return channel_ != nullptr ? channel_->why_not_coalesced() : "there is no connection";
  }

  void open() { step(slot_event::open{}); }
  /// Instead: goes on where another slot of the endpoint left off, which had failed with these words.
  void resume(slot_redial const& from, std::string why);
  void grant_dial() { step(slot_event::dial_granted{}); }
  void nudge() { step(slot_event::nudge{}); }
  void drain() { step(slot_event::drain{.in_use = load() > 0}); }
  void end_drain() { step(slot_event::drain_elapsed{}); }

  /// Only while ready.
  void take(permit& into) noexcept;

  /// A call of others on it has ended.
  void on_outside_done(status_code outcome);

  /// Revokes every permit on it.
  void revoke_permits() noexcept;

 private:
  friend class permit;

  void step(decltype(slot_event_at::what) what);
  void perform(slot_action_any const& action);
  void do_it(slot_action::request_dial);
  void do_it(slot_action::release_dial);
  void do_it(slot_action::open_channel);
  void do_it(slot_action::connect);
  void do_it(slot_action::watch action);
  void do_it(slot_action::arm action);
  void do_it(slot_action::disarm);
  void do_it(slot_action::publish action);
  void do_it(slot_action::close_channel);
  void on_watch(bool changed);
  void on_explained(std::string_view why);
  void on_timer();
  void note(permit& one, call_outcome outcome) noexcept;
  void put_back(permit& one, call_outcome outcome) noexcept;
  void learn(status_code outcome);

  loop& loop_;
  slot_host& host_;
  std::string const& endpoint_;
  std::uint32_t const number_;
  std::uint32_t const endpoint_number_;
  slot_machine machine_;
  event_pump<slot_event_at> pump_;
  millrace::channel* channel_ = nullptr;
  watcher* watcher_ = nullptr;
  timer timer_{bound<void()>::to<&slot::on_timer>(*this)};
  intrusive_list<permit, permit_tag> permits_;
  std::uint32_t in_flight_ = 0;
  std::shared_ptr<outside_calls> const outside_ = std::make_shared<outside_calls>();
  std::uint32_t connections_ = 0;
  coalescing_stats earlier_coalescing_;  // on channels that are closed
  time_point since_{};
  std::string explanation_;  // the transport's words for the failure that is about to be told
  std::string last_failure_;
  bool explaining_ = false;
};

}  // namespace millrace
