// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/intercept/chain.hpp>
#include <millrace/loop/loop.hpp>
#include <millrace/metrics/observer_list.hpp>
#include <millrace/pool/pool.hpp>
#include <millrace/sim/call_record.hpp>
#include <millrace/sim/channel_factory.hpp>
#include <millrace/sim/client.hpp>
#include <millrace/sim/invariants.hpp>
#include <millrace/sim/net.hpp>
#include <millrace/sim/trace.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace millrace::sim {

/// The value of MILLRACE_SEED, or `otherwise`.
std::uint64_t seed_from_environment(std::uint64_t otherwise = 1);

struct world_params {
  std::uint64_t seed = seed_from_environment();
  pool_params pool{};
  /// Its `interceptors` is the world's business; name yours below.
  client_params client{};
  /// Inside the world's own, in this order.
  std::vector<std::shared_ptr<interceptor>> interceptors{};
  /// Keep a trace to print on failure. It costs about as much as the simulation.
  bool traced = true;
  /// The command that runs this again, for the message of a failure. Empty: this program with MILLRACE_SEED.
  std::string replay{};
};

/// What a world throws when an invariant is broken: which one, the seed, the command that replays it, and the trace.
class broken_invariant : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// A loop on virtual time, a net of servers, a pool and a client: a test of the real engine that reads like a story.
///
/// ```
/// sim::world world{{.pool = {.target = "a:1,b:1"}}};
/// world.at(2s, [&] { world.net()["a"].kill(); });
/// auto& call = world.call("hello", {.timeout = 5s});
/// world.run_for(10s);
/// CHECK(call.ok());
/// ```
///
/// The same seed and the same story give the same run. All `invariants` are checked at every turn of the loop and at the end.
class world {
 public:
  explicit world(world_params params);
  world(world const&) = delete;
  world& operator=(world const&) = delete;

  /// Calls `finish` unless an exception is on its way; so it may throw broken_invariant.
  ~world() noexcept(false);

  sim::net& net() noexcept { return *net_; }
  millrace::loop& loop() noexcept { return loop_; }
  sim::client& client() noexcept { return *client_; }
  sim::trace& trace() noexcept { return trace_; }
  invariants& watched() noexcept { return *invariants_; }

  /// Until `destroy_pool`.
  millrace::pool& pool() noexcept { return *pool_; }
  bool has_pool() const noexcept { return pool_ != nullptr; }
  bool stopped() const noexcept { return loop_.stopping(); }

  /// Tells one more observer what the pool and the client tell theirs. Not from inside a hook.
  void add(observer& one) { observers_.add(one); }

  /// Since the start.
  duration elapsed() const noexcept { return port_.now() - start_; }

  // the story

  /// Does something on the loop at that time since the start; what is given for the past is done at once.
  void at(duration time, std::function<void()> what);
  void after(duration time, std::function<void()> what) { at(elapsed() + time, std::move(what)); }

  /// Lets time pass. What is due at the end itself is still to come. Throws broken_invariant, and what handlers throw.
  void run_for(duration time) { run_until(elapsed() + time); }
  void run_until(duration time);

  /// Until all that is planned with `at` has happened and every call that the world made is done. Each has a deadline, so this
  /// ends.
  void run_calls();

  /// Makes a call of `called()`. The record lives as long as the world.
  call_record& call(std::string request = "hello", call_options options = {});
  std::deque<call_record> const& calls() const noexcept { return calls_; }
  static method const& called();

  /// Begins a drain; the result is there when it is over.
  std::optional<error_code> const& drain(duration grace);

  void destroy_pool();

  /// Ends the loop for good, as loop::stop; the rest of the story can only look.
  stop_report stop(duration grace = std::chrono::seconds(10));

  /// Destroys the pool, lets everything come back, and checks that nothing is left over.
  void finish();

 private:
  struct step {
    step(world& of, std::function<void()> f) : in(of), what(std::move(f)) {}
    world& in;
    std::function<void()> what;
    timer due{bound<void()>::to<&step::run>(*this)};
    void run() {
      --in.planned_;
      what();
      in.end_if_over();
    }
  };

  bool story_is_over() const noexcept { return planned_ == 0 && invariants_->open_calls() == 0; }
  void end_if_over();
  void on_turn();
  void on_note(std::string_view what);
  void on_call_done(call_record& one, call_result&& result);
  void throw_if_broken();

  world_params const params_;
  // what calls refer to outlives the loop, which frees those that it abandons
  std::deque<call_record> calls_;
  std::deque<std::optional<error_code>> drains_;
  std::unique_ptr<sim::net> net_;
  std::shared_ptr<invariants> invariants_;
  chain chain_;
  observer_list observers_;
  sim::trace trace_;
  millrace::loop loop_;
  port& port_;
  time_point const start_;
  std::unique_ptr<millrace::pool> pool_;
  std::optional<sim::client> client_;
  std::deque<step> steps_;
  std::size_t planned_ = 0;  // those that have not happened
  bool until_calls_done_ = false;
  bool finished_ = false;
};

}  // namespace millrace::sim
