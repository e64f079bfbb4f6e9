// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/any_picker.hpp>
#include <millrace/base/bound.hpp>
#include <millrace/loop/operation.hpp>
#include <millrace/pool/grpc_channel.hpp>
#include <millrace/pool/slot_publication.hpp>
#include <millrace/resolve/endpoint.hpp>

#include <grpcpp/channel.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace millrace {

class loop;

/// What a pool's stub channels share: the slots that calls may use now, a picker for them, and how calls ended, until the pool
/// fetches that. A mutex guards it; gRPC's calls are made outside of it.
///
/// Lives as long as a pool, a stub channel or a call needs it, whichever lets go last.
///
/// Thread: any for what calls use; the pool's for what slot_publication has.
class stub_hub final : public slot_publication, public std::enable_shared_from_this<stub_hub> {
 public:
  struct params {
    balance::any_picker picker;
    std::uint32_t max_calls_per_slot;
    std::uint32_t grow_at;
    grpc_dialer dialer;  ///< For calls that find no slot.
  };

  /// `tell` is called on the loop's thread when the pool should look at outcomes and wishes.
  stub_hub(loop& on, bound<void()> tell, params with);
  ~stub_hub() override;

  /// What a call needs of its slot at its end.
  struct slot {
    std::uint32_t number;
    std::shared_ptr<outside_calls> calls;
    bool succeeded = false;  // a call has
    bool left = false;       // it is no longer published
  };

  /// Where a call goes. A channel that is no slot's is not counted.
  struct place {
    std::shared_ptr<grpc::Channel> channel;
    std::shared_ptr<stub_hub::slot> slot{};
    std::shared_ptr<bool> on_trial{};  // of an endpoint that takes one call at a time: whether it has it
    time_point since{};
  };

  /// Never waits, always has an answer: a ready slot; else, while nothing is connected, for calls that wait for ready, a channel
  /// on which gRPC dials; else a slot that connects or whose health is being asked; when there is none, or all back off or are
  /// unhealthy, a channel on which calls fail with UNAVAILABLE at once.
  place pick(bool wait_for_ready);

  /// A call that was sent to a slot is over. Its channel is not looked at.
  void done(place const& of, status_code code) noexcept;

  grpc_connectivity_state state() const noexcept;

  /// As grpc::Channel::NotifyOnStateChange.
  void watch(grpc_connectivity_state last, gpr_timespec deadline, grpc::CompletionQueue* queue, void* tag);

  /// Where gRPC completes calls of its callback API.
  grpc::CompletionQueue* callback_queue();

  /// A stub channel exists: it keeps the loop running.
  void add_user() noexcept;
  void drop_user() noexcept;

  void publish(std::span<published_slot const> slots, std::string why_not_ready) override;
  std::vector<outside_outcome> take_outcomes() override;
  outside_wish take_wish() noexcept override;
  void tell_each(bool on) noexcept override;
  std::uint32_t in_flight() const noexcept override;
  void close() noexcept override;
  void detach() noexcept override;

 private:
  // so many successes are told at once, and so many outcomes kept for a loop that does not run
  static constexpr std::size_t batch = 64;
  static constexpr std::size_t most_outcomes = 16 * batch;

  /// What a channel that is no slot's is dialed to.
  struct target {
    std::shared_ptr<endpoint const> is;
    duration min_keepalive_time;
  };

  /// What changes when the pool publishes.
  struct board {
    std::vector<place> ready;
    std::vector<place> connecting;
    std::unordered_map<std::uint32_t, std::shared_ptr<bool>> trials;  // by endpoint, of those that are probed
    std::vector<target> targets;  // of the endpoints that have slots for new calls, each once; candidates refer to them
    std::unordered_map<grpc::Channel const*, std::shared_ptr<slot>> known;  // those of `ready`, by its channel
    std::string why_not_ready;
    grpc_connectivity_state state = GRPC_CHANNEL_IDLE;
    bool connected = false;  // a slot, be it one that calls must not use
    // made when first needed
    std::shared_ptr<grpc::Channel> refusing;
    std::shared_ptr<grpc::Channel> waiting;
    std::shared_ptr<endpoint const> waiting_for;  // where `waiting` leads
  };

  /// Tells the pool, on the loop.
  class messenger final : public operation {
   public:
    messenger() noexcept : operation(&messenger::run) {}
    std::shared_ptr<stub_hub> of;  // while queued

   private:
    static void run(operation& self, completion how);
  };

  std::vector<balance::candidate> fill(board& with, std::span<published_slot const> slots) const;
  place as_known(published_slot const& one) const;
  std::shared_ptr<bool> trial_of(board& with, std::uint32_t endpoint) const;
  place take(place const& one);
  place const& with_room(std::size_t picked);
  std::shared_ptr<grpc::Channel> const& waiting();
  std::shared_ptr<grpc::Channel> const& refusing();
  bool worth_telling(place const& of, status_code code) noexcept;
  void wish(outside_wish what) noexcept;
  void wake() noexcept;
  static void mark(board const& all, bool left) noexcept;
  void keep_waiting(board& next) noexcept;
  void post(board next, std::span<balance::candidate const> candidates);

  mutable std::mutex mutex_;
  loop* loop_;  // null once the pool is gone
  bound<void()> const tell_;
  std::uint32_t const max_calls_per_slot_;
  std::uint32_t const grow_at_;
  grpc_dialer const dialer_;
  balance::any_picker picker_;
  board board_;
  std::shared_ptr<grpc::Channel>
      pulse_;  // never connects; replaced when the state changes, which ends the watches on it
  std::shared_ptr<grpc::Channel> callback_;  // has the queue for callbacks
  std::vector<outside_outcome> outcomes_;
  messenger messenger_;
  std::atomic<std::uint32_t> in_flight_ = 0;
  std::uint32_t users_ = 0;
  std::size_t turn_ = 0;
  bool closed_ = false;
  outside_wish wish_ = outside_wish::none;
  bool tell_each_ = false;
};

}  // namespace millrace
