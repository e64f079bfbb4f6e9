// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/hash_key.hpp>
#include <millrace/loop/tag.hpp>
#include <millrace/loop/wait.hpp>
#include <millrace/pool/lease.hpp>
#include <millrace/pool/params.hpp>
#include <millrace/pool/pool_client.hpp>
#include <millrace/pool/slot.hpp>
#include <millrace/pool/snapshot.hpp>
#include <millrace/pool/waiter.hpp>

#include <boost/asio/deferred.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace millrace {

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
/// themselves on the loop.
///
/// Thread: the loop's, or any before the loop runs. Destroy it before the loop and after the leases; calls still in flight are
/// then cancelled. For an orderly end use `async_drain` first.
class pool final : private slot_host, private stop_listener {
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

  /// A slot for a call of your own. Signature `void(error_code, lease)`; errors: timed_out, cancelled, queue_full,
  /// no_endpoint_ready (never with `wait_for_ready`), pool_closed, loop_stopping.
  template <class Token = boost::asio::deferred_t>
  [[nodiscard]] auto async_acquire(acquire_params wanted, Token&& token = {});

  pool_snapshot snapshot();

  /// Slots that are ready.
  std::uint32_t ready() const noexcept { return static_cast<std::uint32_t>(ready_.size()); }

  /// Why no endpoint is ready: each with its last failure, in one line. Empty when one is.
  std::string why_not_ready() const;

  /// Redials slots that back off at once.
  void reset_backoff();

  /// What retries of all clients of this pool draw on.
  retry::budget& budget() noexcept { return budget_; }

  observer* told() const noexcept { return params_.observer; }

  // for the call layer

  enum class acquired { now, later, never };

  /// Asks for a permit. `now`: the waiter's permit is held. `later`: its callback follows. `never`: `error` says why.
  acquired acquire(waiter& one, error_code& error);

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
  class chore;
  struct endpoint {
    std::string name;
    std::uint64_t hash = 0;  // of the name, for policies
    slot* dialing = nullptr;
    intrusive_list<slot, dial_queue_tag> queue;
  };
  enum class phase { fresh, open, draining, revoking, closed };

  void request_dial(slot& one) override;
  void release_dial(slot& one) noexcept override;
  channel* open_channel(slot& one) override;
  void on_slot_changed(slot& one, slot_state from, slot_state to, std::string_view why, duration spent) override;
  void on_slot_proven(slot& one) override;
  void on_permit_released(slot& one, status_code outcome, duration held) noexcept override;
  void on_stop() noexcept override;

  void open_slots(std::uint32_t count);
  void rebuild();
  bool try_take(waiter& one);
  slot* with_room(std::size_t picked) noexcept;
  bool hopeless() const noexcept;
  void withdraw(waiter& one) noexcept;
  void refuse(waiter& one, errc why);
  errc why_closed() const noexcept;
  void tell_refused(errc why, duration waited);
  void refuse_waiters(errc why);
  void grow();

  void soon(chore*& place, void (pool::*what)()) noexcept;
  void keep_house_soon() noexcept;
  void keep_house();
  void grant_dials();
  void serve_waiters();
  void refuse_the_hopeless();
  void serve_ready_waits();

  void enlist(ready_wait& one, ready_params wanted);
  void end(wait& one, error_code result) noexcept;
  void enlist_drain(wait& one, duration grace);
  void start_drain();
  void on_drain_timer();
  void revoke_all() noexcept;
  void check_drained();
  void finish_drain();

  loop& loop_;
  pool_params const params_;
  std::unique_ptr<channel_factory> channels_;
  std::vector<endpoint> endpoints_;
  std::vector<std::unique_ptr<slot>> slots_;
  std::vector<slot*> ready_;  // in the order last given to the picker
  balance::any_picker picker_;
  retry::budget budget_;
  intrusive_list<waiter, waiter_tag> waiters_;
  intrusive_list<pool_client, pool_client_tag> clients_;
  wait_list ready_waits_;
  wait_list drain_waits_;
  std::uint32_t vacant_ = 0;
  std::uint32_t waiting_ = 0;
  std::uint32_t in_flight_ = 0;
  std::uint32_t revoked_ = 0;
  phase phase_ = phase::fresh;
  chore* house_chore_ = nullptr;  // queued on the loop, as the next; they outlive the pool
  chore* drain_chore_ = nullptr;
  duration drain_grace_{};
  time_point drain_started_{};
  timer drain_timer_{bound<void()>::to<&pool::on_drain_timer>(*this)};
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
