// SPDX-License-Identifier: Apache-2.0
#include <millrace/metrics/logging_observer.hpp>

#include <millrace/time/duration_text.hpp>

#include <fmt/format.h>

#include <chrono>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace millrace {
namespace {

// one line in the making; it has room for a usual one, so writing it allocates nothing
class line {
 public:
  line(logging_params& params, time_point at) : sink_(params.sink) {
    if (!params.start) params.start = at;
    add("[{:7.3f}] ", std::chrono::duration<double>(at - *params.start).count());
  }
  line(line const&) = delete;
  line& operator=(line const&) = delete;
  ~line() { sink_({text_.data(), text_.size()}); }

  template <class... Args>
  line& add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    return *this;
  }

  // the words of somebody else, which may be none
  line& because(std::string_view why) { return why.empty() ? *this : add(": {}", one_line(why)); }

  line& waited(duration time);

 private:
  line_sink const& sink_;
  fmt::memory_buffer text_;
};

double in_ms(duration time) { return std::chrono::duration<double, std::milli>(time).count(); }

double in_seconds(duration time) { return std::chrono::duration<double>(time).count(); }

std::string_view plural(std::uint64_t count) { return count == 1 ? "" : "s"; }

line& line::waited(duration time) { return time == duration::zero() ? *this : add(", waited {:.3f} ms", in_ms(time)); }

std::string_view prose(events::retry_denial why) {
  switch (why) {
    case events::retry_denial::budget: return "the retry budget is empty";
    case events::retry_denial::attempts: return "no attempts are left";
    case events::retry_denial::not_retryable: return "the policy does not retry this code";
    case events::retry_denial::pushback: return "the server asked not to";
    case events::retry_denial::committed: return "the response had begun";
    case events::retry_denial::deadline: return "the deadline is too near";
    case events::retry_denial::cancelled: return "the caller cancelled";
  }
  return "?";
}

std::string_view prose(events::hedge_skip why) {
  switch (why) {
    case events::hedge_skip::no_room: return "no slot has room";
    case events::hedge_skip::budget: return "the retry budget is empty";
    case events::hedge_skip::extra_load: return "max_extra_load is used up";
  }
  return "?";
}

}  // namespace

logging_observer::logging_observer(logging_params params) : params_(std::move(params)) {
  if (!params_.sink)
    throw std::invalid_argument("logging_params.sink is empty; give it a function, or leave the default");
}

void logging_observer::on(events::slot_changed const& event) noexcept {
  line(params_, event.at)
      .add("{} slot {}: {} -> {}", event.endpoint, event.slot, to_string(event.from), to_string(event.to))
      .because(event.why);
}

void logging_observer::on(events::endpoints_changed const& event) noexcept {
  line(params_, event.at)
      .add("{} endpoint{}: {} added, {} removed", event.endpoints, plural(event.endpoints), event.added, event.removed);
}

void logging_observer::on(events::resolve_failed const& event) noexcept {
  line(params_, event.at).add("the endpoints could not be resolved").because(event.why);
}

void logging_observer::on(events::health_changed const& event) noexcept {
  line(params_, event.at).add("{}: {} -> {}", event.endpoint, event.from, event.to).because(event.why);
}

void logging_observer::on(events::ejection_spared const& event) noexcept {
  line(params_, event.at)
      .add("{}: an outlier by {}, and not ejected", event.endpoint, event.found_by)
      .because(event.why);
}

void logging_observer::on(events::panic_changed const& event) noexcept {
  line(params_, event.at)
      .add("{} of {} endpoint{} usable: {}", event.usable, event.endpoints, plural(event.endpoints),
           event.panicking ? "all are used (panic)" : "the panic is over");
}

void logging_observer::on(events::priority_changed const& event) noexcept {
  line(params_, event.at).add("calls go to priority {} instead of {}", event.to, event.from);
}

void logging_observer::on(events::endpoint_chosen const& event) noexcept {
  line(params_, event.at)
      .add("calls of priority {} go to {}, one of {} endpoint{}", event.priority, event.endpoint, event.endpoints,
           plural(event.endpoints));
}

void logging_observer::on(events::too_many_pings const& event) noexcept {
  bool const grows = event.next_keepalive_time > event.keepalive_time;
  std::string const silence = to_text(event.keepalive_time);
  line(params_, event.at)
      .add("{} slot {}: the server closed the connection: too_many_pings, at keepalive.time {}{}", event.endpoint,
           event.slot, silence, grows ? "; from now on " + to_text(event.next_keepalive_time) : "");
}

void logging_observer::on(events::slot_replaced const& event) noexcept {
  line(params_, event.at)
      .add("{} slot {}: replaced by slot {}", event.endpoint, event.slot, event.by)
      .because(event.why);
}

void logging_observer::on(events::picked const& event) noexcept {
  if (!everything()) return;
  line(params_, event.at)
      .add("{} slot {}: picked, {} in flight", event.endpoint, event.slot, event.in_flight)
      .waited(event.waited);
}

void logging_observer::on(events::pick_failed const& event) noexcept {
  if (!everything()) return;
  line(params_, event.at).add("no slot for a call").because(event.why).waited(event.waited);
}

void logging_observer::on(events::call_started const& event) noexcept {
  if (!everything()) return;
  line(params_, event.at).add("{}: started", event.method);
}

void logging_observer::on(events::call_finished const& event) noexcept {
  if (!everything()) return;
  line(params_, event.at)
      .add("{}: {} in {:.3f} ms, {} attempt{}", event.method, to_string(event.code), in_ms(event.elapsed),
           event.attempts, plural(event.attempts));
}

void logging_observer::on(events::attempt_started const& event) noexcept {
  if (!everything()) return;
  line(params_, event.at)
      .add("{} {} {}: on {} slot {}", event.method, event.hedge ? "hedge" : "attempt", event.number, event.endpoint,
           event.slot);
}

void logging_observer::on(events::attempt_finished const& event) noexcept {
  if (!everything()) return;
  line(params_, event.at)
      .add("{} {} {}: {} in {:.3f} ms from {} slot {}{}", event.method, event.hedge ? "hedge" : "attempt", event.number,
           to_string(event.code), in_ms(event.elapsed), event.endpoint, event.slot,
           event.never_left ? ", never sent" : "")
      .because(event.message);
}

void logging_observer::on(events::retry_scheduled const& event) noexcept {
  if (!everything()) return;
  line(params_, event.at)
      .add("{}: {}, attempt {} follows in {:.3f} ms{}", event.method, to_string(event.code), event.next_attempt,
           in_ms(event.delay), event.transparent ? " (transparent: the last was never sent)" : "");
}

void logging_observer::on(events::retry_denied const& event) noexcept {
  line(params_, event.at)
      .add("{}: {} after {} attempt{}, no retry: {}", event.method, to_string(event.code), event.attempts,
           plural(event.attempts), prose(event.why));
}

void logging_observer::on(events::hedge_skipped const& event) noexcept {
  if (!everything()) return;
  line(params_, event.at).add("{}: no hedge: {}", event.method, prose(event.why));
}

void logging_observer::on(events::drain_started const& event) noexcept {
  line(params_, event.at)
      .add("drain started: {} call{} in flight, {} waiting, {:.3f} s of grace", event.in_flight,
           plural(event.in_flight), event.waiting, in_seconds(event.grace));
}

void logging_observer::on(events::drain_finished const& event) noexcept {
  line(params_, event.at)
      .add("drain finished after {:.3f} s, {} call{} cut off", in_seconds(event.elapsed), event.revoked,
           plural(event.revoked));
}

}  // namespace millrace
