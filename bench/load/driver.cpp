// SPDX-License-Identifier: Apache-2.0
#include <load/configure.hpp>
#include <load/driver.hpp>

#include <fmt/format.h>

#include <sys/resource.h>

#include <algorithm>

namespace millrace::load {
namespace {

using namespace std::chrono_literals;

double cpu_seconds() noexcept {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  auto const seconds = [](timeval const& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

double microseconds(duration value) noexcept { return std::chrono::duration<double, std::micro>(value).count(); }

}  // namespace

driver::driver(options const& asked)
    : asked_(asked),
      people_(asked.json == "-" ? stderr : stdout),
      narrator_(asked.narrate ? people_ : nullptr),
      observers_(),
      pool_(loop_, pool_of(asked, &observers_)),
      client_(pool_, client_of(asked)),
      method_(method::numbered(asked.method)) {
  observers_.add(narrator_);
  observers_.add(counters_);
  observers_.add(watch_);
  grpc::Slice const bytes(asked.payload);
  payload_ = grpc::ByteBuffer(&bytes, 1);
  signals_.async_wait([this](boost::system::error_code error, int) {
    if (error) return;
    // first, so that an end at once cancels this too
    signals_.async_wait([this](boost::system::error_code again, int) {
      if (!again) loop_.interrupt();
    });
    end_early();
  });
}

report driver::run() {
  narrator_.begin(loop_.now());
  connect();
  loop_.run();
  return figures();
}

// ---- the beginning

void driver::connect() {
  auto const wait =
      asked_.wait_for_ready ? duration(1h) : std::min<duration>(5s, std::max<duration>(asked_.timeout, 1s));
  pool_.async_ready({.min_ready = std::max(asked_.connections, 1u), .timeout = wait}, [this](error_code error) {
    if (ending_) return check_end();
    if (error) report_unready();
    if (pool_.ready() == 0) {
      unreachable_ = true;
      return end_early();
    }
    begin();
  });
}

void driver::report_unready() {
  for (slot_snapshot const& one : pool_.snapshot().slots) {
    if (one.state == slot_state::ready) continue;
    fmt::print(stderr, "millrace-load: {} is not ready: {}\n", one.endpoint,
               one.last_failure.empty() ? "no answer to the dial yet" : one.last_failure);
  }
}

void driver::begin() {
  begin_ = loop_.now();
  cpu_before_ = cpu_seconds();
  if (asked_.duration) {
    stop_at_ = saturating_add(begin_, *asked_.duration);
    last_start_.expires_at(stop_at_);
    last_start_.async_wait([this](error_code error) {
      if (!error) end_early();
    });
  }
  on_second();
  if (asked_.rate) {
    on_tick();
  } else {
    start_closed_loop();
  }
}

void driver::start_closed_loop() {
  for (std::uint32_t at = 0; at < asked_.concurrency && may_start(); ++at) start_call(loop_.now());
}

// the open loop: a call is due at begin + n / rate, whatever became of those before it
void driver::on_tick() {
  time_point const now = loop_.now();
  for (;;) {
    auto const after = std::chrono::duration<double>(static_cast<double>(started_) / *asked_.rate);
    time_point const due = begin_ + std::chrono::duration_cast<duration>(after);
    if (!may_start() || due >= stop_at_) return check_end();
    if (due > now) {
      tick_.expires_at(due);
      tick_.async_wait([this](error_code error) {
        if (!error) on_tick();
      });
      return;
    }
    start_call(due);
  }
}

// ---- calls

bool driver::may_start() const noexcept { return !ending_ && (!asked_.calls || started_ < *asked_.calls); }

void driver::start_call(time_point due) {
  hash_key const key = asked_.hash_keys > 0 ? std::to_string(started_ % asked_.hash_keys) : std::string();
  ++started_;
  ++in_flight_;
  client_.async_call(method_, payload_,
                     {.timeout = asked_.timeout, .wait_for_ready = asked_.wait_for_ready, .hash_key = key},
                     [this, due](rpc_result<grpc::ByteBuffer> answer) { on_answer(due, std::move(answer)); });
}

void driver::on_answer(time_point due, rpc_result<grpc::ByteBuffer>&& answer) {
  --in_flight_;
  latencies_.record(loop_.events().now() - due);
  int const code = answer ? 0 : answer.error().error_code();
  ++finished_[static_cast<std::size_t>(code)];
  if (code != 0 && first_failure_.empty()) first_failure_ = answer.error().error_message();
  if (!asked_.rate && may_start()) return start_call(loop_.now());
  check_end();
}

// ---- the end

void driver::end_early() {
  ending_ = true;
  check_end();
}

// drains once nothing is to start and nothing is in flight
void driver::check_end() {
  if (may_start() || in_flight_ > 0 || drained_) return;
  drained_ = true;
  ended_ = loop_.now();
  cpu_used_ = cpu_seconds() - cpu_before_;
  tick_.cancel();
  second_.cancel();
  last_start_.cancel();
  signals_.cancel();
  pool_.async_drain(asked_.timeout, [](error_code) {});
}

void driver::on_second() {
  second_.expires_after(1s);
  second_.async_wait([this](error_code error) {
    if (error || drained_) return;  // the second may be over in the very turn that ended the work
    if (!asked_.quiet) show_progress();
    pool_size_.push_back(pool_.ready());
    narrator_.sum_up_retries(loop_.now());
    on_second();
  });
}

void driver::show_progress() {
  std::uint64_t const calls = latencies_.count();
  fmt::print(people_, "{:5.0f} s  {:8} calls/s  {:6} in flight  {} of {} connections ready  {} failed\n",
             std::chrono::duration<double>(loop_.now() - begin_).count(), calls - told_, in_flight_, pool_.ready(),
             pool_.snapshot().open, calls - finished_[0]);
  told_ = calls;
  // more of them would not be a line
  auto const second = watch_.next_second(endpoints(), counters_);
  if (second.size() >= 2 && second.size() <= 8) fmt::print(people_, "{}", to_line(second));
  std::fflush(people_);
}

report driver::figures() {
  report result;
  // interrupted before the drain
  if (!drained_) {
    ended_ = loop_.now();
    cpu_used_ = cpu_seconds() - cpu_before_;
  }
  result.elapsed = begin_ == time_point{} ? duration::zero() : ended_ - begin_;
  result.calls = latencies_.count();
  result.ok = finished_[0];
  result.failed = result.calls - result.ok;
  for (std::size_t code = 1; code < finished_.size(); ++code) {
    if (finished_[code] > 0) result.by_status[std::string(to_string(static_cast<status_code>(code)))] = finished_[code];
  }
  double const seconds = std::chrono::duration<double>(result.elapsed).count();
  double const calls = static_cast<double>(result.calls);
  result.rps = seconds > 0 ? calls / seconds : 0;
  if (result.calls > 0) {
    result.latency_us = {.p50 = microseconds(latencies_.percentile(50)),
                         .p90 = microseconds(latencies_.percentile(90)),
                         .p99 = microseconds(latencies_.percentile(99)),
                         .p999 = microseconds(latencies_.percentile(99.9)),
                         .max = microseconds(latencies_.max())};
    result.cpu_us_per_call = cpu_used_ * 1e6 / calls;
  }
  coalescing_stats const coalesced = pool_.snapshot().coalescing;
  result.coalescing = {.corks = coalesced.corks,
                       .held_us = microseconds(coalesced.held),
                       .longest_us = microseconds(coalesced.longest),
                       .failed_uncorks = coalesced.failed_uncorks};
  counters::totals const& total = counters_.total();
  result.attempts = total.attempts;
  result.retries = total.retries + total.transparent_retries;
  result.budget_denied = total.retry_denied(retry_denial::budget);
  result.hedges = total.hedges;
  for (auto const why : {hedge_skip::no_room, hedge_skip::budget, hedge_skip::extra_load}) {
    if (auto const count = total.hedges_skipped(why)) result.hedges_skipped.emplace(to_string(why), count);
  }
  result.health_questions = pool_.budget().charged();
  for (duration const one : narrator_.reconnects()) result.reconnect_ms.push_back(microseconds(one) / 1000);
  result.pool_size = pool_size_;
  add_endpoints(result);
  return result;
}

// as they were given; those of a resolver by name
std::vector<std::string> driver::endpoints() const {
  if (!asked_.endpoints.empty()) return asked_.endpoints;
  std::vector<std::string> found;
  for (auto const& [address, seen] : counters_.endpoints()) found.push_back(address);
  return found;
}

void driver::add_endpoints(report& to) const {
  for (std::string const& address : endpoints()) {
    counters::endpoint_counts const& seen = counters_.endpoint(address);
    to.endpoints.push_back({.address = address,
                            .calls = seen.attempts,
                            .ok = seen.ok(),
                            .connections_opened = seen.connections_opened,
                            .connections_lost = seen.connections_lost,
                            .ejections = seen.ejections,
                            .ewma_us = watch_.ewma_us(address),
                            .ejection_reasons = watch_.ejection_reasons(address),
                            .dials = seen.dials,
                            .replacements = seen.replacements});
  }
}

}  // namespace millrace::load
