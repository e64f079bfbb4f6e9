// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/intrusive_list.hpp>
#include <millrace/call/transport.hpp>
#include <millrace/sim/answer.hpp>
#include <millrace/sim/channel.hpp>
#include <millrace/sim/health_answer.hpp>
#include <millrace/sim/health_call.hpp>
#include <millrace/sim/latency.hpp>
#include <millrace/sim/stream_answer.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::sim {

class net;

/// A server somewhere in a simulated net. What it does may be changed at any time; changes show at the next dial or attempt,
/// `kill`, `drop` and `go_away` at once. Up, and answering at once with OK, until told otherwise.
class server {
 public:
  server(net& in, std::string name);
  server(server const&) = delete;
  server& operator=(server const&) = delete;

  std::string const& name() const noexcept { return name_; }

  // how it takes dials

  server& up();
  /// Refuses dials, with these words; connections stay.
  server& down(std::string why = "Connection refused");
  /// Dials to it hang until they time out.
  server& black_hole();
  /// Accepts dials, and drops each connection that long afterwards.
  server& accept_then_drop(duration lifetime = duration::zero());
  server& dial_takes(latency time);
  server& dial_takes(duration time) { return dial_takes({.least = time, .most = time}); }

  // what happens to its connections

  /// It dies: connections are lost, calls in flight fail with UNAVAILABLE, dials are refused.
  server& kill(std::string why = "Connection refused");
  /// Connections are lost, calls in flight fail with UNAVAILABLE.
  server& drop(std::string_view why = "Socket closed");
  /// Connections are given up (HTTP/2 GOAWAY): calls in flight finish, new ones need a new connection.
  server& go_away();
  /// From now on each new connection is given up in that way at an age (MAX_CONNECTION_AGE).
  server& connection_age(latency age);
  /// Nothing is heard any more on the connections that there are, though they are not lost: somebody pulled the cable. New ones work.
  server& fall_silent();

  // how it answers

  server& call_takes(latency time);
  server& call_takes(duration time) { return call_takes({.least = time, .most = time}); }
  /// From now on, to every attempt.
  server& answer_with(answer with);
  /// To the next attempt, before anything else; more of them in order.
  server& answer_next(answer with);
  /// To that share of the attempts, instead of the usual; replaces the one before.
  server& answer_sometimes(double share, answer with);

  /// From now on, to every attempt of a stream.
  server& stream_with(stream_answer with);
  /// To the next attempt of a stream, before anything else; more of them in order.
  server& stream_next(stream_answer with);

  // what it says of its health: that it has no health service, until told otherwise

  /// From now on, to every question; who watches hears it too, unless it says nothing.
  server& health(health_answer says);
  /// Until an answer, and a change, arrive.
  server& health_takes(duration time);
  /// Ends the watches that are out with that status.
  server& end_health_watches(status_code code, std::string message = {});

  // what it has seen

  std::uint32_t dials_in_flight() const noexcept { return dials_in_flight_; }
  std::uint32_t most_dials_in_flight() const noexcept { return most_dials_in_flight_; }
  /// When each dial of a pool began.
  std::vector<time_point> const& dialed_at() const noexcept { return dialed_at_; }
  /// Connections at this moment.
  std::uint32_t connections() const noexcept { return connections_; }
  /// Connections made since the start.
  std::uint32_t connections_made() const noexcept { return connections_made_; }
  /// Attempts that reached it, and those it has not answered yet.
  std::uint64_t received() const noexcept { return received_; }
  std::uint64_t in_flight() const noexcept { return in_flight_; }
  /// When each attempt reached it.
  std::vector<time_point> const& received_at() const noexcept { return received_at_; }
  /// Questions after its health that reached it, and what the last one was for.
  std::size_t health_questions() const noexcept { return asked_at_.size(); }
  /// When each of those did.
  std::vector<time_point> const& asked_at() const noexcept { return asked_at_; }
  health_question_seen const& last_health_question() const noexcept { return last_health_question_; }
  /// Watches of its health at this moment.
  std::uint32_t health_watches() const noexcept { return health_watches_; }
  /// Called with each attempt that reached it, to look at what was sent.
  std::function<void(attempt_request const&)> on_request{};

 private:
  friend class channel;
  friend class health_call;
  friend class transport;
  friend class stream_flight;

  enum class mode { up, down, black_hole, flapping };

  void note(std::string_view what);
  void enter(channel& one) noexcept { channels_.push_back(one); }
  void dial_began();
  void dial_ended() noexcept { --dials_in_flight_; }
  void connected() noexcept;
  void disconnected() noexcept { --connections_; }
  answer receive(attempt_request const& request);
  stream_answer receive_stream();
  void done() noexcept { --in_flight_; }
  void receive(health_call& question);
  void answer_health(health_call& question);

  net& net_;
  std::string const name_;
  mode mode_ = mode::up;
  std::string refusal_;
  duration lifetime_{};
  latency dial_latency_{.least = std::chrono::milliseconds(1), .most = std::chrono::milliseconds(1)};
  std::optional<latency> connection_age_;
  latency call_latency_{};
  answer usual_{};
  std::deque<answer> next_;
  stream_answer usual_stream_{};
  std::deque<stream_answer> next_streams_;
  double sometimes_share_ = 0;
  answer sometimes_{};
  intrusive_list<channel, channel_tag> channels_;
  std::uint32_t dials_in_flight_ = 0;
  std::uint32_t most_dials_in_flight_ = 0;
  std::vector<time_point> dialed_at_;
  std::uint32_t connections_ = 0;
  std::uint32_t connections_made_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t in_flight_ = 0;
  std::vector<time_point> received_at_;
  health_answer health_ = health_answer::unimplemented;
  duration health_latency_{};
  intrusive_list<health_call, health_watch_tag> health_listeners_;
  std::uint32_t health_watches_ = 0;
  std::vector<time_point> asked_at_;
  health_question_seen last_health_question_;
};

}  // namespace millrace::sim
