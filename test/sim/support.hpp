// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/intercept/call_context.hpp>
#include <millrace/sim/world.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace millrace::sim {

using namespace std::chrono_literals;
using boost::asio::cancellation_type;

/// Keeps the events that stories ask about.
class recorder final : public observer {
 public:
  struct change {
    time_point at;
    std::uint32_t slot;
    slot_state from;
    slot_state to;
    std::string why;
  };
  struct attempt {
    time_point at;
    std::string endpoint;
    std::uint32_t slot;
    std::uint32_t number;
  };
  struct drained {
    duration elapsed;
    std::uint32_t revoked;
  };

  std::vector<change> changes;
  std::vector<attempt> attempts;
  std::vector<retry_denial> denials;
  std::vector<events::retry_scheduled> retries;
  std::vector<std::string> failed_picks;
  std::vector<drained> drains;

  bool denied(retry_denial why) const { return std::find(denials.begin(), denials.end(), why) != denials.end(); }

  using observer::on;
  void on(events::slot_changed const& event) noexcept override {
    changes.push_back({event.at, event.slot, event.from, event.to, std::string(event.why)});
  }
  void on(events::attempt_started const& event) noexcept override {
    attempts.push_back({event.at, std::string(event.endpoint), event.slot, event.number});
  }
  void on(events::retry_denied const& event) noexcept override { denials.push_back(event.why); }
  void on(events::retry_scheduled const& event) noexcept override { retries.push_back(event); }
  void on(events::pick_failed const& event) noexcept override { failed_picks.emplace_back(event.why); }
  void on(events::drain_finished const& event) noexcept override { drains.push_back({event.elapsed, event.revoked}); }
};

/// Holds every call in one hook until the story lets go.
class holder final : public interceptor {
 public:
  explicit holder(hook where) : where_(where) {}

  std::vector<held_call> held;

  hook_result on_start(call_context& context) override { return answer(hook::start, context); }
  hook_result on_send_message(call_context& context, message const&) override {
    return answer(hook::send_message, context);
  }
  hook_result on_initial_metadata(call_context& context, metadata_view) override {
    return answer(hook::initial_metadata, context);
  }
  hook_result on_recv_message(call_context& context, message const&) override {
    return answer(hook::recv_message, context);
  }
  hook_result on_done(call_context& context, status const&) override { return answer(hook::done, context); }

 private:
  hook_result answer(hook at, call_context& context) {
    if (at != where_) return proceed;
    held.push_back(context.hold_call());
    return hold;
  }

  hook where_;
};

inline std::vector<std::shared_ptr<interceptor>> list(std::shared_ptr<interceptor> one) { return {std::move(one)}; }

/// Calls made at regular times.
inline void make_calls(world& in, duration from, duration until, duration every, call_options const& options = {}) {
  for (duration at = from; at < until; at += every) {
    in.at(at, [&in, options] { in.call("hello", options); });
  }
}

inline std::size_t count_ok(world const& in) {
  return static_cast<std::size_t>(
      std::count_if(in.calls().begin(), in.calls().end(), [](call_record const& one) { return one.ok(); }));
}

inline bool contains(std::string const& text, std::string_view part) { return text.find(part) != text.npos; }

}  // namespace millrace::sim
