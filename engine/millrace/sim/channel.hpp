// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/intrusive_list.hpp>
#include <millrace/pool/channel.hpp>
#include <millrace/time/timer.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::sim {

class server;
class net;

struct rider_tag;
struct channel_tag;

/// An attempt on a channel: what it has to know of the connection.
class rider : public list_base<rider_tag> {
 public:
  virtual void on_connected() = 0;
  virtual void on_lost(std::string_view why) = 0;
  virtual void on_dial_failed(std::string_view why) = 0;

 protected:
  ~rider() = default;
};

/// A connection to a simulated endpoint, with the connectivity of a grpc::Channel (gRPC 1.51): IDLE until asked to connect;
/// a failed dial is reported once, as TRANSIENT_FAILURE, and stays; a lost connection is IDLE; a call on an IDLE channel dials
/// too; destroying the channel ends its watches.
class channel final : public millrace::channel, public list_base<channel_tag> {
 public:
  channel(net& in, sim::server& to, duration keepalive_time);
  ~channel() override;

  connectivity state() override { return state_; }
  duration keepalive_time() const noexcept override { return keepalive_time_; }
  void connect() override;
  void watch(tracked_operation& op, std::string_view owner, connectivity last, time_point until) override;
  void explain(bound<void(std::string_view)> say) override;
  void forget_explain() noexcept override;
  millrace::health_call* ask_health(health_question const& question, health_listener& listener) override;

  // for the endpoint and the transport

  sim::server& to() noexcept { return to_; }

  /// An attempt begins: it goes out at once, or when the dial is over.
  void board(rider& one);

  /// The connection is gone, and with it the calls in flight.
  void lose(std::string_view why);

  /// The connection takes no new call; those in flight finish.
  void go_away();

  /// Nothing gets through on this connection any more.
  void fall_silent() noexcept { silent_ = state_ == connectivity::ready; }
  bool silent() const noexcept { return silent_; }

 private:
  class pending_watch;
  class question;

  void dial();
  void end_dial() noexcept;
  void on_dialed();
  void on_flap();
  void become(connectivity next);
  void connected();
  void refused();

  net& net_;
  sim::server& to_;
  duration const keepalive_time_;
  connectivity state_ = connectivity::idle;
  bool asked_ = false;  // the dial in flight is the slot's, not only a call's
  bool silent_ = false;
  std::string failure_;
  std::vector<std::unique_ptr<pending_watch>> watches_;
  question* question_ = nullptr;
  intrusive_list<rider, rider_tag> waiting_;
  intrusive_list<rider, rider_tag> sent_;
  timer dialed_{bound<void()>::to<&channel::on_dialed>(*this)};
  timer flap_{bound<void()>::to<&channel::on_flap>(*this)};
  timer aged_{bound<void()>::to<&channel::go_away>(*this)};
};

}  // namespace millrace::sim
