// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/intrusive_list.hpp>
#include <millrace/base/status.hpp>
#include <millrace/loop/tag.hpp>
#include <millrace/sim/channel.hpp>
#include <millrace/time/timer.hpp>

#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::sim {

class net;

struct health_watch_tag;

/// A question after a server's health on its way there and back. Outlives whoever asked, if need be, until its tag is back.
class health_call final : public millrace::health_call, public rider, public list_base<health_watch_tag> {
 public:
  static health_call* start(net& in, channel& on, health_question const& question, health_listener& listener);

  void orphan() noexcept override;

  // for the server

  std::string_view service() const noexcept { return service_; }
  bool watches() const noexcept { return watch_; }

  /// Answers, `after` so long.
  void say(health::serving_status status, duration after) { send({.answer = status}, after); }

  /// Is over, `after` so long.
  void end(status why, duration after) { send({.end = std::move(why)}, after); }

 private:
  struct news {
    std::optional<health::serving_status> answer{};
    status end{};
    time_point at{};
  };

  health_call(net& in, channel& on, health_question const& question, health_listener& listener);
  ~health_call();

  void on_connected() override;
  void on_lost(std::string_view why) override;
  void on_dial_failed(std::string_view why) override { on_lost(why); }

  void expect_news();
  void send(news one, duration after);
  void on_due();
  void on_back(completion how);
  void leave() noexcept;

  net& net_;
  channel* channel_;
  std::string const endpoint_;
  std::string const service_;
  bool const watch_;
  health_listener* listener_;
  bool received_ = false;
  bool expecting_ = false;   // the tag is out, and nothing sends it back yet
  std::deque<news> coming_;  // the first is on its way back when the tag is out and nothing is expected
  timer due_{bound<void()>::to<&health_call::on_due>(*this)};
  tag<&health_call::on_back> back_{*this};
};

}  // namespace millrace::sim
