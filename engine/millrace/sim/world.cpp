// SPDX-License-Identifier: Apache-2.0
#include <millrace/sim/world.hpp>

#include <millrace/resolve/target.hpp>

#include <fmt/format.h>
#include <boost/asio/bind_cancellation_slot.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <exception>
#include <utility>

namespace millrace::sim {
namespace {

std::string replay_command(world_params const& params) {
  if (!params.replay.empty()) return params.replay;
  return fmt::format("MILLRACE_SEED={} {}", params.seed, program_invocation_name);
}

}  // namespace

std::uint64_t seed_from_environment(std::uint64_t otherwise) {
  char const* const text = std::getenv("MILLRACE_SEED");  // NOLINT(concurrency-mt-unsafe): nobody sets it meanwhile
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// the endpoints that the target names; a resolver's servers are the story's to add
endpoint_set listed_in(pool_params const& params) {
  if (params.make_resolver) return {};
  resolve::target const from = resolve::parse_target(params.target, "pool_params.target");
  auto const* const listed = std::get_if<endpoint_set>(&from);
  return listed == nullptr ? endpoint_set{} : *listed;
}

world::world(world_params params)
    : params_(std::move(params)),
      trace_(port{}.now()),
      loop_(std::make_unique<port>()),
      port_(port_of(loop_)),
      start_(port_.now()) {
  loop_.random() = rng(params_.seed ^ 0x5eed);
  net_ = std::make_unique<sim::net>(loop_, params_.seed);
  for (endpoint const& one : listed_in(params_.pool)) net_->add(one.address);
  net_->dial_timeout = params_.pool.slot.dial_timeout;
  invariants_ = std::make_shared<invariants>(*net_, params_.pool.budget, params_.pool.slot.watch_slice);
  observers_.add(*invariants_);
  if (params_.traced) observers_.add(trace_.events());
  if (params_.pool.observer != nullptr) observers_.add(*params_.pool.observer);
  chain_.add(invariants_);
  for (auto const& one : params_.interceptors) chain_.add(one);
  pool_params slots = params_.pool;
  slots.observer = &observers_;
  pool_ = std::make_unique<millrace::pool>(loop_, std::move(slots),
                                           std::make_unique<channel_factory>(*net_, params_.pool.keepalive.time));
  client_params calls = params_.client;
  calls.interceptors = chain_;
  client_.emplace(*pool_, *net_, std::move(calls));
  if (params_.traced) net_->on_note = bound<void(std::string_view)>::to<&world::on_note>(*this);
  port_.on_turn(bound<void()>::to<&world::on_turn>(*this));
}

world::~world() noexcept(false) {
  std::exception_ptr failure;
  try {
    if (std::uncaught_exceptions() == 0) finish();
  } catch (...) {
    failure = std::current_exception();
  }
  port_.on_turn({});
  net_->on_note = {};
  if (failure) std::rethrow_exception(failure);
}

void world::at(duration time, std::function<void()> what) {
  ++planned_;
  loop_.arm(steps_.emplace_back(*this, std::move(what)).due, saturating_add(start_, time));
}

void world::run_until(duration time) {
  time_point const until = saturating_add(start_, time);
  while (port_.now() < until && !loop_.stopping()) {
    loop_.work_started();  // a pool alone does not keep its loop running
    try {
      loop_.run_until(until);
    } catch (...) {
      loop_.work_finished();
      throw;
    }
    loop_.work_finished();
    throw_if_broken();
    if (until_calls_done_ && story_is_over()) return;
  }
  if (loop_.stopping()) {
    loop_.run();
    throw_if_broken();
  }
  if (until != never) port_.advance_to(until);
}

void world::run_calls() {
  if (story_is_over()) return;
  until_calls_done_ = true;
  run_until(elapsed() + std::chrono::hours(24));
  until_calls_done_ = false;
}

call_record& world::call(std::string request, call_options options) {
  call_record& one = calls_.emplace_back();
  one.number = static_cast<std::uint32_t>(calls_.size());
  one.started = port_.now();
  duration const timeout = options.timeout > duration::zero() ? options.timeout : params_.client.default_timeout;
  one.deadline = saturating_add(one.started, timeout);
  options.info = &one.info;
  invariants_->on_called(one);
  invariants::quiet_scope const quiet(*invariants_, "the initiating function");
  client_->async_call(called(), std::move(request), std::move(options),
                      boost::asio::bind_cancellation_slot(one.cancellation.slot(), [this, &one](call_result result) {
                        on_call_done(one, std::move(result));
                      }));
  return one;
}

method const& world::called() { return method::numbered("/millrace.Sim/Say"); }

void world::on_call_done(call_record& one, call_result&& result) {
  ++one.times_finished;
  one.finished = port_.now();
  one.result = std::move(result);
  invariants_->on_finished(one);
  end_if_over();
}

void world::end_if_over() {
  if (until_calls_done_ && story_is_over()) loop_.interrupt();
}

std::optional<error_code> const& world::drain(duration grace) {
  auto& result = drains_.emplace_back();
  pool_->async_drain(grace, [&result](error_code error) { result = error; });
  return result;
}

void world::destroy_pool() {
  if (params_.traced) on_note("the pool is destroyed");
  {
    invariants::quiet_scope const quiet(*invariants_, "the pool's destructor");
    pool_.reset();
  }
  invariants_->forget_drain();
}

stop_report world::stop(duration grace) {
  if (params_.traced) on_note("the loop is stopped");
  invariants_->forget_drain();
  stop_report report = loop_.stop(grace);
  throw_if_broken();
  return report;
}

void world::finish() {
  if (std::exchange(finished_, true)) return;
  if (pool_ != nullptr) destroy_pool();
  if (loop_.stopping()) {
    loop_.stop(std::chrono::seconds(1));  // once more: what came back after the first grace
  } else {
    run_for(std::chrono::milliseconds(1));
  }
  invariants_->check_over();
  throw_if_broken();
}

void world::on_turn() {
  invariants_->check(pool_.get());
  // not once that is thrown: an interrupted wait takes no time, and the loop's end would wait for ever
  if (!invariants_->breach().empty() && !finished_) loop_.interrupt();
}

void world::on_note(std::string_view what) { trace_.note(port_.now(), what); }

void world::throw_if_broken() {
  if (invariants_->breach().empty()) return;
  finished_ = true;
  throw broken_invariant(fmt::format("{}\n  at {:.6f} s, seed {}; again with: {}\n{}", invariants_->breach(),
                                     std::chrono::duration<double>(elapsed()).count(), params_.seed,
                                     replay_command(params_), trace_.text()));
}

}  // namespace millrace::sim
