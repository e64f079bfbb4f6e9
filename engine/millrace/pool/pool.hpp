// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/hash_key.hpp>
#include <millrace/health/outlier_detector.hpp>
#include <millrace/loop/tag.hpp>
#include <millrace/loop/wait.hpp>
#include <millrace/pool/chore.hpp>
#include <millrace/pool/concurrency_limit.hpp>
#include <millrace/pool/connection_age.hpp>
#include <millrace/pool/lease.hpp>
#include <millrace/pool/params.hpp>
#include <millrace/pool/pool_client.hpp>
#include <millrace/pool/roster.hpp>
#include <millrace/pool/scaling.hpp>
#include <millrace/pool/selection.hpp>
#include <millrace/pool/sizing.hpp>
#include <millrace/pool/slot.hpp>
#include <millrace/pool/snapshot.hpp>
#include <millrace/pool/waiting_queue.hpp>
#include <millrace/resolve/resolver.hpp>

#include <boost/asio/deferred.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace grpc {
class ChannelInterface;
}  // namespace grpc

namespace millrace {

class slot_publication;

/// What `async_ready` waits for.
struct ready_params {
  std::uint32_t min_ready = 1;
  duration timeout = std::chrono::seconds(10);
};

/// How long `async_acquire` waits, and for what.
struct acquire_params {
  duration timeout = std::chrono::seconds(10);
  /// Wait even while every endpoint fails, as call_options::wait_for_ready.
  bool wait_for_ready = false;
  /// As call_options::hash_key.
  millrace::hash_key hash_key{};
};

/// A pool of connections to one service: slots (a channel each, one TCP connection each) to every endpoint, opened when first
/// needed, kept connected, picked by a policy, drained at the end.
///
/// A call that finds no slot with room waits, first come first served. Watching, dialing, backing off and redialing go on by
/// themselves on the loop. The endpoints may change at any time: those that are new are dialed, those that are gone finish the
/// calls they have and are closed; the others notice nothing.
///
/// Thread: the loop's, or any before the loop runs. Destroy it before the loop and after the leases; calls still in flight are
/// then cancelled. For an orderly end use `async_drain` first.
class pool final : private slot_host, private rotation_host, private resolver_listener, private stop_listener {
 public:
  /// Over gRPC channels. Throws std::invalid_argument as pool_params says.
  pool(loop& on, pool_params params);

  /// Over channels of your own.
  pool(loop& on, pool_params params, std::unique_ptr<channel_factory> channels);

  ~pool();

  millrace::loop& context() noexcept { return loop_; }
  pool_params const& params() const noexcept { return params_; }

  /// Dials `min_slots` now instead of at the first call.
  void open();

  /// Completes when `min_ready` slots are ready; opens as many if need be. Errors: timed_out, cancelled, out_of_range (more
  /// than max_slots), pool_closed, loop_stopping.
  template <class Token = boost::asio::deferred_t>
  [[nodiscard]] auto async_ready(ready_params wanted, Token&& token = {}) {
    return async_wait_in<ready_wait>(
        loop_, std::forward<Token>(token), [this, wanted](ready_wait& one) { enlist(one, wanted); },
        [this](ready_wait& one) { end(one, errc::cancelled); });
  }

  /// Takes no new calls, refuses those that wait, lets those in flight finish for `grace`, cancels the rest, and closes every
  /// channel. Calls made before this line are in flight where there is room for them, unless an interceptor holds them.
  /// Completes when all is closed: with no error, or with timed_out when calls had to be cancelled. The pool stays closed.
  /// Cancelling the wait does not undo the drain; of several drains the first one's grace counts.
  template <class Token = boost::asio::deferred_t>
  [[nodiscard]] auto async_drain(duration grace, Token&& token = {}) {
    return async_wait_in<wait>(
        loop_, std::forward<Token>(token), [this, grace](wait& one) { enlist_drain(one, grace); },
        [this](wait& one) { end(one, errc::cancelled); });
  }

  /// The endpoints are these from now on, whatever a resolver said; its next answer replaces them again. An endpoint that is in
  /// the set as before keeps its connections. Nothing when the pool drains or is closed. Throws std::invalid_argument as
  /// `validate(endpoint_set)` does.
  void update_endpoints(endpoint_set set);

  /// Takes an endpoint out, for maintenance: no new call goes there, those in flight finish within `grace` or are cancelled, its
  /// connections are closed. Completes then, with timed_out when calls had to be cancelled. It stays out until
  /// `readmit_endpoint`, also when it leaves the set meanwhile and comes back. Errors besides: unknown_endpoint, cancelled (the
  /// drain goes on), pool_closed, loop_stopping.
  template <class Token = boost::asio::deferred_t>
  [[nodiscard]] auto async_drain_endpoint(std::string address, duration grace, Token&& token = {}) {
    return async_wait_in<wait>(
        loop_, std::forward<Token>(token),
        [this, address = std::move(address), grace](wait& one) { enlist_endpoint_drain(one, address, grace); },
        [this](wait& one) { end(one, errc::cancelled); });
  }

  /// Undoes async_drain_endpoint. unknown_endpoint when the pool has none of that address, and none was drained.
  error_code readmit_endpoint(std::string_view address);

  /// A slot for a call of your own. Signature `void(error_code, lease)`; errors: timed_out, cancelled, queue_full,
  /// waited_too_long, no_endpoint_ready (never with `wait_for_ready`), pool_closed, loop_stopping.
  template <class Token = boost::asio::deferred_t>
  [[nodiscard]] auto async_acquire(acquire_params wanted, Token&& token = {});

  /// The pool as a channel for generated stubs: `Echo::NewStub(pool.stub_channel())`. Each call on it, through any of gRPC's
  /// APIs, goes to a slot that the picker chooses; the slot counts it, and the pool learns how it went. Opens the pool. While one
  /// exists and the pool is open, `loop::run` does not return. Throws std::logic_error without `pool_params::stub_calls`,
  /// over channels that are not gRPC's, and with a gRPC that is not 1.51 (grpc_stub_access.hpp).
  ///
  /// Thread: the pool's; of what it returns, any. That may outlive the pool and the loop: calls then fail with UNAVAILABLE. A
  /// drain waits for its calls, and at the end of the grace leaves them to themselves.
  std::shared_ptr<grpc::ChannelInterface> stub_channel();

  pool_snapshot snapshot();

  /// Slots that are ready.
  std::uint32_t ready() const noexcept { return census_.ready(); }

  /// Why no endpoint is ready: each with its last failure, in one line. Empty when one is.
  std::string why_not_ready();

  /// Redials slots that back off at once.
  void reset_backoff();

  /// Replaces every connection by a new one, one after the other an endpoint, make-before-break: because credentials changed, or
  /// what is behind an address.
  void rotate();

  /// What retries and hedges of all clients of this pool draw on, and health checks are charged to.
  retry::budget& budget() noexcept { return budget_; }

  observer* told() const noexcept { return params_.observer; }

  // for the call layer

  enum class acquired { now, later, never };

  /// Asks for a permit. `now`: the waiter's permit is held. `later`: its callback follows. `never`: `error` says why.
  acquired acquire(waiter& one, error_code& error);

  /// As `acquire`, but never waits: false when there is no room at once, or others wait for it.
  bool try_acquire(waiter& one);

  /// Takes back a wish that waits, if it still does; the observer is told why.
  void give_up(waiter& one, errc why);

  void add(pool_client& one) noexcept { clients_.push_back(one); }

 private:
  class ready_wait : public wait {
   public:
    using wait::wait;
    std::uint32_t min_ready = 0;
    pool* owner = nullptr;
    timer deadline{bound<void()>::to<&ready_wait::on_due>(*this)};
    void on_due() { owner->end(*this, errc::timed_out); }

   protected:
    ~ready_wait() = default;
  };
  class lease_wait;
  template <class Handler>
  class acquire_operation;
  enum class phase { fresh, open, draining, revoking, closed };

  // pool.cpp: its making, and the house that it keeps
  balance::any_picker make_picker();
  void keep_house_soon() noexcept { house_chore_.soon(); }
  void keep_house();
  void sweep();
  template <class Visit>
  void for_each_slot(Visit visit) {
    for (auto const& one : slots_) {
      if (one != nullptr) visit(*one);
    }
  }
  template <class Visit>
  void for_each_slot(roster_entry const& of, Visit visit) {
    for_each_slot([&](slot& one) {
      if (one.endpoint_number() == of.number) visit(one);
    });
  }

  // pool_endpoints.cpp: where they come from, what each is given, and how it goes
  void on_endpoints(endpoint_set set) override;
  void on_resolve_failed(std::string_view why) override;
  void apply(endpoint_set set);
  void follow(roster::change const& change);
  time_point take_turns();
  void tell_chosen(roster::change const& change);
  void retire(roster_entry& one);
  void look_after(roster_entry& one);
  void equip(roster_entry& one);
  void enlist_endpoint_drain(wait& one, std::string const& address, duration grace);
  void on_endpoint_grace_over(roster_entry& one);
  void tell_gone(roster_entry const& one);

  // pool_slots.cpp: how many there are on which endpoint, who dials, and what follows when one changes
  slot_bounds bounds() const noexcept;
  std::uint32_t slots_asked_for();
  std::uint32_t kept();
  std::vector<roster_entry*> in_turn();
  void fill();
  bool make_room(std::uint32_t round);
  bool too_many_connections();
  void drain_one_of(roster_entry& at);
  slot& open_slot(roster_entry& at);
  channel* open_channel(slot& one) override;
  void request_dial(slot& one) override;
  void release_dial(slot& one) noexcept override;
  void grant_dials();
  void on_slot_changed(slot& one, slot_state from, slot_state to, std::string_view why, duration spent) override;
  void on_connected(slot& one, roster_entry& at);
  void on_disconnected(slot& one, roster_entry& at, duration lifetime, bool by_server);
  void on_slot_proven(slot& one) override;
  std::uint32_t open_replacement(std::uint32_t endpoint, std::uint32_t of, rotation_reason why) override;
  void drain_slot(std::uint32_t number) override { slots_[number]->drain(); }
  void grow(std::uint32_t waiting);
  void scale(std::uint32_t waiting);
  void on_rescale() { scale(waiters_.size()); }
  std::vector<endpoint_load> loads();

  // pool_admission.cpp: a call's way in: the pick, the queue, the refusal
  void rebuild_soon() noexcept;
  void rebuild();
  bool try_take(waiter& one);
  bool admits() const noexcept;
  slot* with_room(std::size_t picked) noexcept;
  bool may_open_beside(roster_entry const& at) const noexcept;
  bool hopeless();
  bool asking() const noexcept;
  void serve_waiters();
  void refuse_the_hopeless();
  void on_waited_out(waiter& one) { refuse(one, errc::waited_too_long); }
  void refuse(waiter& one, errc why);
  void refuse_waiters(errc why);
  void tell_refused(errc why, duration waited);
  errc why_closed() const noexcept;

  // pool_outcomes.cpp: what is learned from how calls end, and from health services
  void on_received(slot& one) noexcept override;
  void on_outcome(slot& one, call_outcome outcome, duration held) noexcept override {
    note_outcome(one, outcome, held);
  }
  void on_permit_released(slot& one) noexcept override;
  void note_outcome(slot& one, call_outcome how, duration held);
  void note_response(slot& one, roster_entry& at, call_outcome outcome, duration held);
  void note_pings(slot& one);
  void note_health(roster_entry& at, status_code outcome);
  void ask_for_health(roster_entry& of);
  void on_health_changed(endpoint_health& of);
  void sweep_outliers();
  void tell_spared(health::outlier_change const& one);

  // pool_outside.cpp: its part in calls that others make on its slots
  void publish_to(std::shared_ptr<slot_publication> whom);
  void publish();
  slot_state state_for_others(slot const& one, bool chosen) const;
  void on_outside_calls();
  void count_outside_calls();
  void heed_outside_calls();
  std::uint32_t outside_in_flight() const noexcept;

  // pool_drain.cpp: waiting until it is ready, and for its end
  void enlist(ready_wait& one, ready_params wanted);
  void serve_ready_waits();
  void end(wait& one, error_code result) noexcept;
  void enlist_drain(wait& one, duration grace);
  void start_drain();
  void on_drain_timer();
  void revoke_all() noexcept;
  void check_drained();
  void finish_drain();
  void end_endpoint_drains(error_code result);
  void on_stop() noexcept override;

  loop& loop_;
  pool_params const params_;
  std::unique_ptr<channel_factory> channels_;
  chore house_chore_{loop_, bound<void()>::to<&pool::keep_house>(*this)};
  chore drain_chore_{loop_, bound<void()>::to<&pool::start_drain>(*this)};
  retry::budget budget_;  // outlives the endpoints, whose health checks are charged to it
  roster roster_;
  bool resolved_ = false;  // the endpoints were told once
  std::string resolve_failure_;
  std::vector<std::unique_ptr<slot>> slots_;  // by number; null where there is none
  slot_census census_;
  connection_age age_;
  selection selection_;
  timer reselect_{bound<void()>::to<&pool::rebuild_soon>(*this)};
  scaling scaling_;
  timer rescale_{bound<void()>::to<&pool::on_rescale>(*this)};
  health_params const health_;
  std::optional<health::outlier_detector> outlier_;
  timer outlier_due_{bound<void()>::to<&pool::sweep_outliers>(*this)};
  std::optional<concurrency_limit> limit_;
  waiting_queue waiters_;
  intrusive_list<pool_client, pool_client_tag> clients_;
  wait_list ready_waits_;
  wait_list drain_waits_;
  std::shared_ptr<slot_publication> outside_;  // null until somebody asks for a stub channel, who shares it
  bool may_grow_ = true;                       // something has changed since growth was considered
  std::uint32_t looked_with_ = 0;              // calls waiting then
  coalescing_stats earlier_coalescing_;        // on slots that are gone
  bool to_sweep_ = false;                      // slots are closed, or endpoints gone
  std::uint32_t in_flight_ = 0;
  std::uint32_t revoked_ = 0;
  phase phase_ = phase::fresh;
  bool to_rebuild_ = false;  // what the picker knows is old
  bool to_publish_ = false;
  duration drain_grace_{};
  time_point drain_started_{};
  timer drain_timer_{bound<void()>::to<&pool::on_drain_timer>(*this)};
  std::unique_ptr<resolver> resolver_;  // gone before what it tells
};

/// An async_acquire under way.
class pool::lease_wait : public operation {
 public:
  lease_wait(function complete, pool& from)
      : operation(complete),
        from_(from),
        result_(from.loop_),
        waiter_(result_.block_->right, bound<void(error_code)>::to<&lease_wait::on_served>(*this)) {}

  void start(acquire_params wanted);
  void end(errc why);

 protected:
  ~lease_wait() = default;

  void on_served(error_code error);
  void on_due() { end(errc::timed_out); }

  pool& from_;
  lease result_;
  waiter waiter_;
  timer deadline_{bound<void()>::to<&lease_wait::on_due>(*this)};
  error_code error_;
};

template <class Handler>
class pool::acquire_operation final : public lease_wait {
 public:
  acquire_operation(pool& from, Handler&& handler)
      : lease_wait(&acquire_operation::run, from), handler_(from.loop_, std::move(handler)) {}

 private:
  static void run(operation& self, completion how) {
    auto& op = static_cast<acquire_operation&>(self);
    if (auto slot = op.handler_.cancellation_slot(); slot.is_connected()) slot.clear();
    auto handler = std::move(op.handler_);
    error_code const error = op.error_;
    lease result = error ? lease{} : std::move(op.result_);
    handler.destroy(&op);
    if (how != completion::abandoned) std::move(handler)(error, std::move(result));
  }

  completion_handler<Handler> handler_;
};

template <class Token>
auto pool::async_acquire(acquire_params wanted, Token&& token) {
  return boost::asio::async_initiate<Token, void(error_code, lease)>(
      [this, wanted](auto handler) {
        auto slot = boost::asio::get_associated_cancellation_slot(handler);
        using op_type = acquire_operation<decltype(handler)>;
        lease_wait* const op = new_operation<op_type>(loop_, handler, *this, std::move(handler));
        if (slot.is_connected()) slot.assign([op](boost::asio::cancellation_type) { op->end(errc::cancelled); });
        op->start(wanted);
      },
      token);
}

}  // namespace millrace
